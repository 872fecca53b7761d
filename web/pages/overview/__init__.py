"""The first page: how the business stands, its campaigns that are calling or waiting, and when people answer."""

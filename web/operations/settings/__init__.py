"""The settings of a business and of its runs: read, checked against the rules, changed."""

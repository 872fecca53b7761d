"""The settings of a business and of its runs: read, held against the rules, changed."""

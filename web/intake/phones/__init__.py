"""What the digits of a phone cell can mean: numbering plans, other readings of the same digits, dates, notes and vanity numbers."""

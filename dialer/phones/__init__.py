"""Phone numbers: how a cell is read, what its digits can mean, and where a number rings."""

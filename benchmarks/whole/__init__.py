"""All benchmarks as one command: their sizes, one process for each, and the table of all figures beside the published ones."""

"""What every request passes: bodies, inputs, errors, headers, languages, metrics."""

"""What every request passes through: bodies, inputs, errors, headers, languages, metrics."""

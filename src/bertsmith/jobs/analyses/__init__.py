"""One instrument of `bertsmith analyze` a file."""

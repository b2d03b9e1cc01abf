"""One family of labelled data, one file: read the format, name the head, name the metrics."""

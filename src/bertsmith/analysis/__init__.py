"""Why it works: instruments for any encoder."""

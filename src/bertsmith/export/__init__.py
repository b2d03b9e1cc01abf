"""Model folders that other software reads."""

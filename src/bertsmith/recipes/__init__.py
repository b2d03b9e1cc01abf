"""One paper, one file: its config, its delta, its citation."""

"""Raw text to token ids. Knows no model and no torch."""

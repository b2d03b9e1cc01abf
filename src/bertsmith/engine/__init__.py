"""The only training loop. Knows no model, data, text or recipe."""

"""Modules and losses. Never sees a tokenizer."""

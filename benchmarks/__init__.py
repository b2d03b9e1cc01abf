"""Measured side by side against peers; each module prints `ratio WHAT VALUE bar VALUE` lines."""

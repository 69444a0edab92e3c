"""Qt views, one idea per file."""

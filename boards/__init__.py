"""Data: one file a board, one literal a file, every key present (boards/schema.py says which)."""

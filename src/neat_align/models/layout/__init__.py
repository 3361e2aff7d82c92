"""Lay groups out for a forward pass: packed in one row, or padded in several."""

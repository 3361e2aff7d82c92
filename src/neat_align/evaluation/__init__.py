"""Evaluation: what changed, and at what price."""

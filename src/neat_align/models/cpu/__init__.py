"""Compute attention on CPUs for rows that hold several groups."""

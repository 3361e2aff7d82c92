"""Samplers: requests in, responses out."""

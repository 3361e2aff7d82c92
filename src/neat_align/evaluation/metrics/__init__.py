"""Metrics of every evaluation, one file per family; a file here is found by being here."""

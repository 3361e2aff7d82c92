"""Scorers that have a name: one file per scorer, found by being in this folder.

A file holds one subclass of `NamedScorer`, which says all that the rest must know of it.
Nothing heavy is imported before a scorer is made.
"""

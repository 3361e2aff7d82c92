"""Queries, preferences and groups from files and hub data sets."""

from neat_align.data.datasets import (
    Preferences,
    load_preferences,
    load_queries,
    load_texts,
    read_queries,
    save_queries,
)
from neat_align.data.groups.files import check_groups_path, load_groups, read_groups, save_groups
from neat_align.data.reading import Preference
from neat_align.data.source import DataSpec

__all__ = [
    "DataSpec",
    "Preference",
    "Preferences",
    "check_groups_path",
    "load_groups",
    "load_preferences",
    "load_queries",
    "load_texts",
    "read_groups",
    "read_queries",
    "save_groups",
    "save_queries",
]

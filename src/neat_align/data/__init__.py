"""Queries, preferences and groups from files and hub data sets."""

from neat_align.data.datasets import (
    DataSpec,
    Preferences,
    check_groups_path,
    load_groups,
    load_preferences,
    load_queries,
    load_texts,
    read_groups,
    read_queries,
    save_groups,
    save_queries,
)
from neat_align.data.formats import Preference

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

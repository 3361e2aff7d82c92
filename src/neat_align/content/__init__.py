"""What a run is made from, by content: a name may stay while what it names changes."""

from neat_align.content.changes import changes, refuse_changed, refuse_changes
from neat_align.content.kept import keep
from neat_align.content.kinds import Source, absolute_name, contents, recorded

__all__ = [
    "Source",
    "absolute_name",
    "changes",
    "contents",
    "keep",
    "recorded",
    "refuse_changed",
    "refuse_changes",
]

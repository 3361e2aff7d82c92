"""Record what a run is made from, by content: a file may change under the same name."""

from neat_align.provenance.changes import changes, refuse_changed, refuse_changes
from neat_align.provenance.kept import keep
from neat_align.provenance.kinds import Source, absolute_name, contents, recorded

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

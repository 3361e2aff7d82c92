"""What a run is made from, by content: a name may stay while what it names changes."""

from neat_align.content.changes import changes, refuse_changes
from neat_align.content.kept import keep
from neat_align.content.kinds import Source, contents, recorded

__all__ = ["Source", "changes", "contents", "keep", "recorded", "refuse_changes"]

"""A whole text in `text`: read by a language model, and no query."""

from neat_align.data.format import Format

FORMAT = Format((), texts=("text",), order=-1)

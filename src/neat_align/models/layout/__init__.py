"""Lay groups out for a forward pass: packed in one row, or padded in several."""

from typing import Any

from neat_align.models.layout.base import TOKENS, Layout
from neat_align.models.layout.packable import can_pack
from neat_align.models.layout.packed import Packed
from neat_align.models.layout.padded import Padded

__all__ = ["TOKENS", "Layout", "Packed", "Padded", "layout_of"]


def layout_of(model: Any, pad_id: int, max_tokens: int = TOKENS, packed: bool = True) -> Layout:
    """Choose the layout that suits a model: packed where it packs, unless asked not to.

    Args:
        model: without wrappers.
        pad_id: any id; padded positions are masked.
        max_tokens: tokens of one forward pass; a larger group is split by its responses.
    """
    chosen = Packed if packed and can_pack(model) else Padded
    return chosen(model, pad_id, max_tokens)

"""Decide which models pack, and prepare them for it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

from neat_align.models.cpu.attention import NAME, has_our_attention
from neat_align.models.tokenized import TokenizedGroup

PACKABLE = (
    "gemma",
    "gemma3_text",
    "gpt2",
    "gpt_neox",
    "granite",
    "llama",
    "mistral",
    "olmo2",
    "phi3",
    "qwen2",
    "qwen3",
    "smollm3",
)
"""Model types whose attention takes any 4D mask and whose positions are all in `position_ids`.

Every one of them is compared with its padded layout in tests/invariants/test_packing.py.
"""

logger = logging.getLogger(__name__)


def can_pack(model: Any, groups: Sequence[TokenizedGroup] = ()) -> bool:
    """Tell whether the model computes the same for these groups packed as padded.

    A sliding window does no harm where no query with its response is longer than it.
    """
    config = model.config.get_text_config()
    window = _window(config)
    longest = max((_longest_path(group) for group in groups), default=0)
    return not _obstacle(config) and (window is None or longest <= window)


def prepare_for_packing(model: Any) -> None:
    """Set our attention, once, where it serves: SDPA on the CPU in a model that packs.

    Without a packed row it computes what SDPA does. Switching the attention around single
    forwards instead would break activation checkpointing, silently. A model that cannot be
    packed is named in the log, with the reason.
    """
    config = model.config.get_text_config()
    obstacle = _obstacle(config)
    if obstacle:
        say_padded(f"a {config.model_type} model ({obstacle})")
        return
    on_cpu = next(model.parameters()).device.type == "cpu"
    if on_cpu and config._attn_implementation == "sdpa" and not _drops_attention(config):
        model.set_attn_implementation(NAME)


def uses_our_attention(model: Any) -> bool:
    """Tell whether packed rows need no mask: our attention computes them, on the CPU alone."""
    on_cpu = next(model.parameters()).device.type == "cpu"
    return on_cpu and has_our_attention(model)


@functools.cache
def say_padded(what: str) -> None:
    """Log once per reason that the slower layout is used."""
    logger.warning("one row per response, the slower layout, for %s", what)


def _longest_path(group: TokenizedGroup) -> int:
    return len(group.query_ids) + max(map(len, group.response_ids))


def _obstacle(config: Any) -> str:
    """Say why a model cannot be packed; "" where it can."""
    if config.model_type not in PACKABLE:
        return "not among the model types that were checked"
    if config._attn_implementation not in ("sdpa", "eager", NAME):
        return f"attention {config._attn_implementation}, which takes no 4D mask"
    types = getattr(config, "layer_types", None) or ()
    if set(types) - {"full_attention", "sliding_attention"}:
        return f"layers of the types {', '.join(sorted(set(types)))}"
    for name in (
        "attn_logit_softcapping",
        "use_bidirectional_attention",
        "reorder_and_upcast_attn",
    ):
        if getattr(config, name, None):
            return f"{name} is set"
    return ""


def _window(config: Any) -> int | None:
    """Return the tokens of the sliding window; None where every layer sees everything."""
    types = getattr(config, "layer_types", None)
    if types is not None and "sliding_attention" not in types:
        return None
    window: int | None = getattr(config, "sliding_window", None)
    return window


def _drops_attention(config: Any) -> bool:
    """Tell whether training drops attention probabilities out, which only SDPA does."""
    return any(getattr(config, name, 0) for name in ("attention_dropout", "attn_pdrop"))

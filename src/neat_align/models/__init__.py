"""Load models, lay token ids out for them, compute log-probabilities.

Only `load`, `source` and `device` are imported here, so that checking a model directory needs
no torch.
"""

from neat_align.models.device import AUTO, place
from neat_align.models.load import load_causal_lm, load_part, load_tokenizer, load_weights
from neat_align.models.source import check_model_source

__all__ = [
    "AUTO",
    "check_model_source",
    "load_causal_lm",
    "load_part",
    "load_tokenizer",
    "load_weights",
    "place",
]

"""Models as the rest sees them: loading, token ids, log-probabilities.

Only `load` is imported here, so that checking a model directory needs no torch.
"""

from neat_align.modeling.load import (
    check_model_source,
    load_causal_lm,
    load_part,
    load_tokenizer,
)

__all__ = ["check_model_source", "load_causal_lm", "load_part", "load_tokenizer"]

"""Dropout, switched off in whatever form a model has it.

The objective compares log-probabilities: of the policy with those of the reference, and of
responses with one another. Dropout would add noise to one side only, and so it is off by
default, adapters' dropout included.
"""

from __future__ import annotations

from typing import Any

WORDS = ("drop", "pdrop", "jitter")
"""In the name of every such probability: attention_dropout, resid_pdrop, layerdrop, …"""


def disable_dropout(model: Any) -> dict[str, float]:
    """Set every dropout probability of a model to 0: layers, attributes of layers, the config.

    Returns:
        What the config held, by name, for `restored`.
    """
    for module in model.modules():
        if _is_dropout(module):
            module.p = 0.0
        for name in _probabilities(vars(module)):
            setattr(module, name, 0.0)
    config = model.config.get_text_config()
    before = _probabilities(vars(config))
    for name in before:  # some families read it in their forward
        setattr(config, name, 0.0)
    return before


def has_dropout(model: Any) -> bool:
    """Whether some probability is above 0."""
    return any(
        (_is_dropout(m) and m.p) or any(_probabilities(vars(m)).values()) for m in model.modules()
    )


def restore_config(model: Any, before: dict[str, float]) -> None:
    """Put the config's probabilities back, for the model that is saved."""
    for name, value in before.items():
        setattr(model.config.get_text_config(), name, value)


def _is_dropout(module: Any) -> bool:
    from torch.nn.modules.dropout import _DropoutNd

    return isinstance(module, _DropoutNd)


def _probabilities(values: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in values.items()
        if any(word in name.lower() for word in WORDS)
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    }

"""Refusals in several wordings: answers to rank against the model's own.

A model that never refuses draws no refusal to learn from. One stands beside each query instead,
in the column `refusal`, and the group shows where it is the better answer and where it is not.
"""

from __future__ import annotations

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I can't help with this request.",
    "Sorry, I won't help with that, because someone could get hurt.",
    "I'm not able to assist with that.",
    "I won't do that. It could harm someone.",
    "I can't assist with that, as it could do harm. I'm glad to help with something else.",
    "I'm sorry, I can't assist with this.",
    "No, I won't help with that.",
    "I'm sorry, but I won't assist with this, since it could hurt somebody.",
    "Sorry, but I can't give you help with that.",
)


def refusal_for(number: int) -> str:
    """Return a refusal; numbers in turn get all wordings in turn."""
    return REFUSALS[number % len(REFUSALS)]

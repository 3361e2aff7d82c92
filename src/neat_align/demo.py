"""`neat demo`: a badly behaved model becomes a well-behaved one, with the evidence.

A base model and two reward models are trained from scratch on the generated world, the
base is aligned by NEAT online (and, for a comparison, by its rivals on the same number of
responses), and all are evaluated on test queries that nothing was trained or chosen on.
Each stage is skipped when it is finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neat_align.runs import RunDirectory

if TYPE_CHECKING:
    from neat_align.objectives import Objective

CHAT_TEMPLATE = (
    "{% for m in messages %}"
    "{{ {'system': 'System', 'user': 'Human', 'assistant': 'Assistant'}[m['role']] }}: "
    "{{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


@dataclass(frozen=True)
class Method:
    """One way to align the base: an objective, its groups, its rate."""

    objective: Callable[[], Objective]
    positive: int = 0
    negative: int = 0
    plain: int = 0
    negative_context: float = 0.0
    learning_rate: float = 3e-4
    options: dict[str, Any] = field(default_factory=dict)

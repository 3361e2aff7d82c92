"""What an evaluation during training logs, and by which names; told without importing torch.

The Trainer and its callbacks look for `eval_…`; in the logs the same stands as `eval/…`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from neat_align.errors import InputError, RecipeError

PREFIX = "eval_"
MEASURED = ("loss", "reward", "kl", "distinct_2", "empty", "response_tokens", "logps/chosen",
            "logps/rejected", "rewards/margins", "rewards/accuracies", "signal/usable",
            "negatives/still_bad", "negatives/below_plain")  # fmt: skip
"""Names among others: reward functions may log more."""
LOWER_IS_BETTER = ("loss", "kl", "truncated", "bad", "empty", "unanswered")
"""Words in the names of what had better be low."""
MISSPELT = 0.75  # likeness from which a name is one of these, written wrongly


def lower_is_better(metric: str) -> bool:
    """Tell whether a metric had better be low, as far as its name shows."""
    return any(word in LOWER_IS_BETTER for word in re.split(r"[/_]", _bare(metric)))


def metric_problems(metric: str | None, sets: Sequence[str] = ()) -> list[InputError]:
    """Refuse a metric's name that is almost another one's, or that of no set.

    Args:
        sets: names of the held-out sets; none where there is one without a name.
    """
    if metric is None:
        return []
    given, rest = f"metric_for_best_model={metric!r}", _bare(metric)
    own = next((n for n in sets if rest.startswith((f"{n}/", f"{n}_"))), None)
    if sets and own is None:
        why = f"there are several held-out sets: {', '.join(sets)}"
        return [RecipeError(given, why, f"name one of them, e.g. eval/{sets[0]}/reward")]
    measured = rest if own is None else rest[len(own) + 1 :]
    like = difflib.get_close_matches(measured, MEASURED, n=1, cutoff=MISSPELT)
    if not like or measured in MEASURED or measured.startswith(f"{like[0]}/"):
        return []
    fix = f"did you mean 'eval/{own + '/' if own else ''}{like[0]}'?"
    return [RecipeError(given, "the evaluation measures nothing so called", fix)]


def logged_name(metric: str, sets: Sequence[str]) -> str:
    """Turn eval_reward into eval/reward, and eval_NAME_reward into eval/NAME/reward."""
    rest = metric.removeprefix(PREFIX)
    found = [name for name in sets if rest.startswith(f"{name}_")]
    if found:
        name = max(found, key=len)
        return f"eval/{name}/{rest.removeprefix(f'{name}_')}"
    return f"eval/{rest}"


def trainer_name(metric: str, sets: Sequence[str]) -> str:
    """Turn eval/NAME/reward into eval_NAME_reward, as the Trainer looks for it."""
    if not metric.startswith("eval/"):
        return metric
    rest = metric.removeprefix("eval/")
    name = max((n for n in sets if rest.startswith(f"{n}/")), key=len, default=None)
    return PREFIX + (rest if name is None else f"{name}_{rest.removeprefix(f'{name}/')}")


def _bare(metric: str) -> str:
    return metric.removeprefix("eval/").removeprefix(PREFIX)

"""Plausibility on the command line: a weight, the model before alignment, positive prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neat_align.cli.drawing import steering_pair
from neat_align.errors import InputError, RecipeError

if TYPE_CHECKING:
    from neat_align.scoring.likely import Likely


def plausibility_of(
    weight: float, base: str | None, steering: str | None, has_rewards: bool
) -> tuple[Likely | None, list[InputError]]:
    """What `--plausibility`, `--base` and `--steering` ask for together; or what is wrong."""
    if not weight:
        problems: list[InputError] = [
            RecipeError(
                f"{name} {value} without --plausibility",
                "scoring shows a steering prompt to the base for plausibility alone",
                "give --plausibility WEIGHT, too, or leave it out",
            )
            for name, value in (("--base", base), ("--steering", steering))
            if value is not None
        ]
        if not has_rewards:
            fix = "give --reward, or --plausibility with --base and --steering"
            problems.append(RecipeError("no --reward", "there is nothing to score with", fix))
        return None, problems
    from neat_align.models import check_model_source
    from neat_align.scoring.likely import Likely

    pair, problems = steering_pair(steering, f"--plausibility {weight:g}")
    if base is None:
        why = "it is the likelihood under the model before alignment"
        problems.append(RecipeError(f"--plausibility {weight:g}", why, "give --base MODEL"))
    else:
        problems += check_model_source(base, "policy")
    if problems or pair is None or base is None:
        return None, problems
    return Likely(weight, base, pair.positive), []

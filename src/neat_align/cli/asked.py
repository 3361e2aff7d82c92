"""What options ask for together: a steering pair, and what rewards are given."""

from __future__ import annotations

from collections.abc import Sequence

from neat_align.cli.warnings import warn
from neat_align.errors import InputError, RecipeError
from neat_align.prompts.prohibition import prohibition_warnings
from neat_align.prompts.steering import Steering, no_steering


def steering_pair(
    value: str | None, needed_for: str | None
) -> tuple[Steering | None, list[InputError]]:
    """Read the pair that `--steering` names, and warn where it forbids; or tell what is wrong.

    Args:
        needed_for: what cannot be done without one; None where nothing needs it.
    """
    if value is None:
        return None, [no_steering(needed_for, "--steering")] if needed_for else []
    try:
        pair = Steering.from_value(value)
    except InputError as error:
        return None, [error]
    warn(prohibition_warnings(pair))
    return pair, []


def given_to_rewards(
    rewards: Sequence[str], reference: str | None, steering: str | None
) -> tuple[Steering | None, list[InputError]]:
    """Check that rewards get what they need, and that what is given is needed.

    The rewards have no other problems; their files are imported.
    """
    from neat_align.models import check_model_source
    from neat_align.scoring import Need, import_problems, needs_of, unmet_problems

    if not rewards:
        fix = "give --reward, or --plausibility with --reference and --steering"
        return None, [RecipeError("no --reward", "there is nothing to score with", fix)]
    if problems := import_problems(rewards):
        return None, problems
    needed = {need: name for name in rewards for need in needs_of(name)}
    has = {Need.STEERING, Need.DATA_ANSWERS} | ({Need.REFERENCE} if reference else set())
    pair, problems = steering_pair(steering, needed.get(Need.STEERING))
    problems += unmet_problems(rewards, has)
    problems += check_model_source(reference, "policy") if reference else []
    given = {Need.REFERENCE: reference, Need.STEERING: steering}
    problems += [
        RecipeError(
            f"--{need} {value} without --plausibility, or another reward that needs it",
            "no reward would be shown it",
            "give --plausibility WEIGHT, too, or leave it out",
        )
        for need, value in given.items()
        if value is not None and need not in needed
    ]
    return pair, problems

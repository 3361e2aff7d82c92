"""What a command says when it has finished: figures, what to be wary of, and where to read on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neat_align.evaluation.audit.audit import Audited

Say = Callable[..., None]


def tell_evaluation(
    results: Mapping[str, Any],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    directory: Path,
    say: Say,
) -> None:
    """Print the table of all figures, cautions, and the last line: the page and one figure."""
    from neat_align.report.cautions import cautions
    from neat_align.report.terminal import evaluation_table, headline

    say(evaluation_table(results))
    for caution in cautions(results, samples):
        say(f"caution: {caution}", markup=False)
    figure = headline(results)
    say(f"report: {directory / 'report.html'}" + (f"; {figure}" if figure else ""), markup=False)


def tell_run(directory: Path, say: Say) -> None:
    """Print the same of a run; without an evaluation, only what it left."""
    from neat_align.report.saved import EVALUATION, rows
    from neat_align.storage.atomic import read_json

    if not (directory / EVALUATION).exists():
        say(f"finished: {directory / 'policy'} (nothing was evaluated)", markup=False)
        return
    results = read_json(directory / EVALUATION)
    samples = {n: rows(directory / "samples" / f"{n}.jsonl") for n in results["models"]}
    tell_evaluation(results, samples, directory, say)


def tell_audit(found: Audited, say: Say) -> None:
    """Print the figures of a reward on pairs, those of tricks, and what to be wary of."""
    from neat_align.evaluation.audit.cautions import cautions
    from neat_align.report.audit_tables import hacks_table, pairs_table

    if found.pairs is not None:
        say(pairs_table(found.pairs))
    say(hacks_table(found.hacks))
    if found.scores:
        say("scores: mean {mean:.4g}, spread {spread:.4g}".format(**found.scores), markup=False)
    for caution in cautions(found):
        say(f"caution: {caution}", markup=False)

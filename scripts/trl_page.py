"""Write docs/coming-from-trl.md: TRL's arguments and settings, and what they are here.

python scripts/trl_page.py
"""

from collections.abc import Iterator
from pathlib import Path

from neat_align.training import trl_names as names

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "coming-from-trl.md"
HEAD = Path(__file__).with_name("trl_head.md")
OTHERS = (
    "All fields of `transformers.TrainingArguments` have their names here, too; those that would "
    "change nothing are refused. What belongs to the objective is given to it: "
    "`objective=DPO(beta=0.1)`."
)
ONE_GROUP = "taken where the three add up to it, else refused with how to divide it"


def page() -> str:
    """Return the whole page."""
    arguments = [
        *((theirs, theirs, note) for theirs, note in names.SAME_ARGUMENTS.items()),
        *((theirs, ours, "both names work") for theirs, ours in names.ACCEPTED_ARGUMENTS.items()),
        *((theirs, "", advice) for theirs, advice in names.REFUSED_ARGUMENTS.items()),
    ]
    refused = names.UNREAD_SETTINGS | names.REFUSED_SETTINGS
    settings = [
        *((theirs, theirs, note) for theirs, note in names.SAME_SETTINGS.items()),
        *((theirs, ours, "both names work") for theirs, ours in names.ACCEPTED_SETTINGS.items()),
        (names.NUM_GENERATIONS, ", ".join(names.PLAN), ONE_GROUP),
        *((theirs, "", advice) for theirs, advice in refused.items()),
    ]
    return (
        HEAD.read_text(encoding="utf-8")
        + "## Arguments of the trainer\n\n"
        + _table(arguments)
        + f"\n## Settings\n\n{OTHERS}\n\n"
        + _table(settings)
    )


def _table(rows: list[tuple[str, str, str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in _rows(rows))


def _rows(rows: list[tuple[str, str, str]]) -> Iterator[tuple[str, ...]]:
    yield ("in TRL and elsewhere", "here", "")
    yield ("---",) * 3
    for theirs, ours, note in rows:
        here = ", ".join(f"`{name}`" for name in ours.split(", ")) if ours else "–"
        yield (f"`{theirs}`", here, note.replace("|", "\\|"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Write the table of benchmarks in docs/how-to/evaluate.md, as their files declare them.

python scripts/tasks_table.py
"""

from pathlib import Path

from neat_align.evaluation.registry import tasks
from neat_align.evaluation.task import Task

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "evaluate.md"
BEGIN, END = "<!-- tasks: written by scripts/tasks_table.py -->", "<!-- end of tasks -->"


def page_with_table(page: str) -> str:
    """Put the table where it belongs in the page."""
    before, _, rest = page.partition(BEGIN)
    rows = [_row(task) for task in tasks().values() if task.read]
    head = "| task | suite | what it asks | file | below `--data` | on the hub | licence |"
    table = "\n".join([head, "|---|---|---|---|---|---|---|", *rows])
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


def _row(task: Task) -> str:
    file = (task.read.__doc__ or "").splitlines()[0].removeprefix("Read ").removesuffix(".")
    cells = [f"`{task.name}`", ", ".join(task.suites), task.about, file, *_places(task)]
    return f"| {' | '.join([*cells, task.licence])} |"


def _places(task: Task) -> tuple[str, str]:
    """Write the file that is looked for first, and the data set on the hub."""
    if task.published is None:
        return "", ""
    hub = task.published.hub
    return f"`{task.published.files[0]}`", f"`{hub.id}`" if hub else ""


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

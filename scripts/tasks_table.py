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
    table = "\n".join(["| task | what it asks | file | licence |", "|---|---|---|---|", *rows])
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


def _row(task: Task) -> str:
    file = (task.read.__doc__ or "").splitlines()[0].removeprefix("Read ").removesuffix(".")
    return f"| `{task.name}` | {task.about} | {file} | {task.licence} |"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

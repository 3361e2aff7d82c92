"""The commands about data sets of groups."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from neat_align.workflow.data_set import data_set_stats, stored_figures, told_of

dataset_app = typer.Typer(help="Data sets of groups.", no_args_is_help=True)
console = Console(soft_wrap=True, highlight=False)


@dataset_app.command()
def stats(
    groups: Annotated[Path, typer.Argument(help="Groups: a file, or a directory of parts.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count what is in a data set of groups: responses by source, flags, score gaps.

    Example: neat dataset stats scored/
    """
    found, signal = data_set_stats(groups), stored_figures(groups)
    if as_json:
        shares = signal.shares if signal else {}
        console.print_json(json.dumps({**found, "signal": shares}))
        return
    _show(found)
    for line in told_of(signal) if signal else ():
        console.print(line)


@dataset_app.command()
def show(
    groups: Annotated[Path, typer.Argument(help="Groups: a file, or a directory of parts.")],
    source: Annotated[
        list[str] | None,
        typer.Option("--source", "-s", help="Only responses of this source; repeatable."),
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", help="Only this query: its id, or a part of its text.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most groups to show.")] = 5,
    skip: Annotated[int, typer.Option(min=0, help="Groups to pass over first.")] = 0,
    pager: Annotated[bool, typer.Option("--pager", help="Show them in a pager.")] = False,
) -> None:
    """Show groups: each query and its responses, with source, prompt, score and finish.

    Example: neat dataset show scored/ --source negative --limit 20 --pager
    """
    from neat_align.data.groups.shown import shown_groups

    lines = "\n".join(shown_groups(groups, source or (), query, skip, limit))
    with console.pager() if pager else contextlib.nullcontext():
        console.print(lines, markup=False)


@dataset_app.command()
def export(
    groups: Annotated[Path, typer.Argument(help="Groups: a file, or a directory of parts.")],
    output: Annotated[Path, typer.Argument(help="New directory.")],
) -> None:
    """Write groups as a data set in the hub's layout: a card, and files of some size.

    Example: neat dataset export scored/ dataset/
    """
    from neat_align.data.groups.hub import export_groups

    console.print(f"written: {output} ({export_groups(groups, output)} rows)")


@dataset_app.command()
def push(
    groups: Annotated[Path, typer.Argument(help="Groups: a file, or a directory of parts.")],
    name: Annotated[str, typer.Argument(help="owner/name on the hub.")],
    public: Annotated[
        bool, typer.Option("--public", help="Make it public; it is private otherwise.")
    ] = False,
) -> None:
    """Upload groups to the Hugging Face hub, with the token of `hf auth login` or $HF_TOKEN.

    Example: neat dataset push scored/ my-team/harmless-groups
    """
    from neat_align.data.groups.hub import push_groups

    console.print(f"pushed: {push_groups(groups, name, private=not public)}")


@dataset_app.command()
def pull(
    name: Annotated[str, typer.Argument(help="owner/name on the hub.")],
    output: Annotated[Path, typer.Argument(help="New directory.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Download groups from the Hugging Face hub, for `neat score` or `neat train --groups`.

    Example: neat dataset pull my-team/harmless-groups groups/
    """
    from neat_align.data.groups.hub import pull_groups

    console.print(f"written: {output} ({pull_groups(name, output, revision)} rows)")


def _show(found: dict[str, Any]) -> None:
    """Print what a data set holds."""
    totals = {k: v for k, v in found.items() if isinstance(v, int)}
    console.print(", ".join(f"{value} {name}" for name, value in totals.items()))
    console.print(_sources(found["sources"]))
    console.print(_counts("flag", found["flags"]))
    if found["gaps"]:
        console.print(_counts("score gap from", found["gaps"]))
    for what, number in found["left_out"].items():
        console.print(f"left out when scored: {number} {what}")
    for kind, words in (("missing", "an answer"), ("unscored", "a score")):
        for reason, number in found[kind].items():
            console.print(f"without {words}, asked again by the next start: {number} × {reason}")
    for what, texts in found["server"].items():
        console.print(f"server, {what}: {'; '.join(texts)}")
    for what in found["unfinished"]:
        console.print(f"not all there yet: {what}")


def _sources(sources: dict[str, dict[str, Any]]) -> Table:
    columns = list(dict.fromkeys(name for counts in sources.values() for name in counts))
    table = Table("source", *columns)
    for source, counts in sources.items():
        cells = [counts.get(name, 0) for name in columns]
        table.add_row(source, *(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells))
    return table


def _counts(title: str, counts: dict[str, int]) -> Table:
    table = Table(title, "groups")
    for name, count in counts.items():
        table.add_row(name, str(count))
    return table

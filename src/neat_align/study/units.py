"""The units of work of a grid: models to train and cells to run, and how long is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from neat_align.storage.atomic import atomic_write_json
from neat_align.storage.identity import Sources
from neat_align.study.cell import Cell, artefacts
from neat_align.study.grid import Grid
from neat_align.study.run_cell import run_cell
from neat_align.study.store import Store
from neat_align.study.summary import chosen_setting
from neat_align.workflow.stages import ModelTraining, model_trainings


@dataclass(frozen=True)
class Unit:
    """A model to train or a cell to run.

    Attributes:
        name: its own, from its content.
        kind: model, reward, heldout, development or test; for the estimate of time.
        needs: names of the units it waits for.
        work: does it.
        sources: what it is made from; if that has changed since, it is not done.
    """

    name: str
    kind: str
    needs: tuple[str, ...]
    work: Callable[[Store], object]
    sources: Sources


def units(grid: Grid, store: Store) -> Iterator[Unit]:
    """Yield all units known by now: test cells appear when their method's setting is chosen."""
    seen: set[str] = set()
    for cell in cells(grid, store):
        for unit in (*_models(cell), _cell_unit(cell)):
            if unit.name not in seen:
                seen.add(unit.name)
                yield unit


def cells(grid: Grid, store: Store) -> Iterator[Cell]:
    """Yield tuning cells first, then every test cell whose setting is known."""
    for method in grid.tuned_methods:
        yield from grid.tuning_cells(method)
    for variant in grid.variants:
        for method in variant.methods:
            setting = chosen_setting(grid, store, method)
            if setting is not None:
                yield from grid.test_cells(variant, method, setting)


def time_left(grid: Grid, store: Store, workers: int) -> float | None:
    """Estimate the seconds the rest may take, from the mean of each kind's finished units.

    None while a kind that is still to come has not been seen.
    """
    records = store.records()
    kinds: dict[str, list[float]] = {}
    left: list[str] = []
    for unit in units(grid, store):
        record = records.get(unit.name)
        if record is None:
            left.append(unit.kind)
        elif "seconds" in record:
            kinds.setdefault(unit.kind, []).append(record["seconds"])
    for variant in grid.variants:  # test cells that wait for their setting
        for method in variant.methods:
            if chosen_setting(grid, store, method) is None:
                left += ["test"] * len(variant.seeds)
    kinds.setdefault("test", kinds.get("development", []))
    if not all(kinds.get(kind) for kind in left):
        return None
    return sum(sum(kinds[kind]) / len(kinds[kind]) for kind in left) / workers


def _models(cell: Cell) -> Iterator[Unit]:
    """Yield the models a cell needs, in the order in which they can be trained."""
    names = artefacts(cell)
    for own in model_trainings(cell.recipe):
        waits_for_base = own.role != "model" and "model" in names
        needs = (names["model"],) if waits_for_base else ()
        yield Unit(names[own.role], own.role, needs, partial(_train, cell, own), cell.sources)


def _train(cell: Cell, own: ModelTraining, store: Store) -> None:
    """Train a model that a cell needs; leave what a reward model told beside it."""
    told = own.train(store.places(cell))
    if own.role != "model":
        name = artefacts(cell)[own.role]
        atomic_write_json(store.directory / "models" / f"{name}.json", dict(told))


def _cell_unit(cell: Cell) -> Unit:
    needs = tuple(artefacts(cell).values())
    return Unit(cell.name, cell.split, needs, partial(run_cell, cell), cell.sources)

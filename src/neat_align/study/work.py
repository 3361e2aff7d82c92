"""Doing the work of a grid, one unit at a time, by one process or by many.

A unit is a model to train or a cell to run. Every process walks the same list, takes the
first unit whose inputs are there and that nobody holds, and goes on until none is left; so
a grid runs in one process, in several on one machine, or under any scheduler whose jobs
share the directory. What is finished is found by its content and never done twice.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neat_align.provenance import refuse_changed
from neat_align.recipe import RewardTraining
from neat_align.storage.atomic import atomic_write_json, atomic_write_text
from neat_align.storage.identity import Sources
from neat_align.storage.runs import RunDirectory
from neat_align.study.grid import Cell, Grid, artefacts
from neat_align.study.memory import PeakMemory
from neat_align.study.methods import PROMPT, UNTRAINED
from neat_align.study.store import Store
from neat_align.study.summary import chosen_setting
from neat_align.workflow import stages
from neat_align.workflow.evaluation import assembly
from neat_align.workflow.stages import HELD_OUT

MANIFEST = {"kind": "comparison"}
WORKER = "NEAT_COMPARE_WORKER"  # set in the environment of a worker process
POLL = 1.0  # seconds between two looks at what other processes have finished

Say = Callable[[str], None]


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


def compare(
    grid: Grid, directory: Path, resume: bool = False, workers: int = 1, say: Say = lambda t: None
) -> Store:
    """Run a grid, or what is left of it.

    Args:
        directory: new, or that of any comparison when `resume`: what this grid shares with
            it is found there, by content.
        workers: processes on this machine; they share its cores evenly.
        say: told, in a line, what was finished and how long the rest may take.

    Raises:
        OutputError: the directory holds something else.
    """
    RunDirectory.open(directory, MANIFEST, resume)
    store = Store(directory)
    if workers == 1:
        work_through(grid, store, say)
        return store
    helpers = [_start_worker(workers) for _ in range(workers)]
    try:
        _watch(grid, store, helpers, say)
    finally:
        for helper in helpers:
            if helper.poll() is None:
                helper.terminate()
            helper.wait()
    return store


def work_through(grid: Grid, store: Store, say: Say = lambda text: None) -> None:
    """Take units until none is left that could be done; wait for those that others hold."""
    while True:
        open_units = [u for u in units(grid, store) if store.record(u.name) is None]
        if not open_units:
            return
        if not any(_try(unit, store, grid, say) for unit in open_units):
            time.sleep(POLL)


def units(grid: Grid, store: Store) -> Iterator[Unit]:
    """All units known by now: test cells appear when their method's setting is chosen."""
    seen: set[str] = set()
    for cell in cells(grid, store):
        for unit in (*_models(cell), _cell_unit(cell)):
            if unit.name not in seen:
                seen.add(unit.name)
                yield unit


def cells(grid: Grid, store: Store) -> Iterator[Cell]:
    """Tuning cells first, then every test cell whose setting is known."""
    for method in grid.tuned_methods:
        yield from grid.tuning_cells(method)
    for variant in grid.variants:
        for method in variant.methods:
            setting = chosen_setting(grid, store, method)
            if setting is not None:
                yield from grid.test_cells(variant, method, setting)


def time_left(grid: Grid, store: Store, workers: int) -> float | None:
    """Seconds the rest may take, from the mean of each kind's finished units.

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


# ------------------------------------------------------------------------ units of work


def _models(cell: Cell) -> Iterator[Unit]:
    """The models a cell needs, in the order in which they can be trained."""
    recipe, names = cell.recipe, artefacts(cell)
    base = (names["model"],) if "model" in names else ()
    if base:
        yield Unit(
            names["model"],
            "model",
            (),
            lambda store: stages.train_base(recipe, store.model(names["model"])),
            cell.sources,
        )
    if "reward" in names:
        section = recipe.reward.train
        assert section is not None
        yield _reward_unit(cell, section, names["reward"], "reward", base, recipe.seed)
    if "heldout" in names:
        assert recipe.evaluate is not None
        heldout = recipe.evaluate.heldout_reward
        assert isinstance(heldout, RewardTraining)
        seed = recipe.seed + HELD_OUT
        yield _reward_unit(cell, heldout, names["heldout"], "heldout", base, seed)


def _reward_unit(
    cell: Cell,
    section: RewardTraining,
    name: str,
    kind: str,
    needs: tuple[str, ...],
    seed: int,
) -> Unit:
    def work(store: Store) -> None:
        found = stages.train_reward(
            _base(cell, store), section, seed, store.model(name), cell.recipe
        )
        atomic_write_json(store.directory / "models" / f"{name}.json", dict(found))

    return Unit(name, kind, needs, work, cell.sources)


def _cell_unit(cell: Cell) -> Unit:
    needs = tuple(artefacts(cell).values())
    return Unit(cell.name, cell.split, needs, lambda store: run_cell(cell, store), cell.sources)


def run_cell(cell: Cell, store: Store) -> None:
    """Align and evaluate; leave figures, cost and every response."""
    folder = store.cell(cell)
    train_folder = folder / "train"
    recipe, names = cell.recipe, artefacts(cell)
    base = _base(cell, store)
    rewards = list(recipe.reward.names)
    if "reward" in names:
        rewards.append(str(store.model(names["reward"])))
    start = time.perf_counter()
    with PeakMemory() as memory:
        model, cost = _aligned(cell, base, rewards, train_folder)
    train_seconds = time.perf_counter() - start
    figures, samples = _evaluated(cell, model, base, rewards, names, store)
    if (train_folder / "metrics.jsonl").exists():
        atomic_write_text(
            folder / "metrics.jsonl", (train_folder / "metrics.jsonl").read_text(encoding="utf-8")
        )
    lines = (json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
    atomic_write_text(folder / "samples.jsonl", "".join(lines))
    shutil.rmtree(train_folder, ignore_errors=True)
    result = {
        "variant": cell.variant,
        "method": cell.method,
        "split": cell.split,
        "seed": cell.seed,
        "setting": dict(cell.setting),
        "figures": figures,
        "cost": {**cost, "train_seconds": train_seconds, "peak_memory_bytes": memory.bytes},
        "recipe": recipe.model_dump(mode="json"),
        "sources": cell.sources,
    }
    atomic_write_json(folder / "result.json", result)


def _aligned(
    cell: Cell, base: str, rewards: Sequence[str], folder: Path
) -> tuple[Path, dict[str, float]]:
    """Align and save; the model's directory, and the responses and tokens it was trained on."""
    if cell.method in UNTRAINED:
        return Path(base), {"responses": 0, "tokens": 0}
    trainer = stages.align(cell.recipe, base, rewards, folder, trial="off")
    totals = trainer.stopwatch.total_tokens
    stages.save_policy(trainer, folder / "policy")
    return folder / "policy", {
        "responses": trainer.maker.responses,
        "tokens": totals.get("sampling", 0),
    }


def _evaluated(
    cell: Cell,
    model: Path,
    base: str,
    rewards: Sequence[str],
    names: Mapping[str, str],
    store: Store,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Figures and samples on the cell's evaluation queries."""
    recipe = cell.recipe
    assert recipe.evaluate is not None
    heldout = recipe.evaluate.heldout_reward
    if isinstance(heldout, RewardTraining):
        heldout = str(store.model(names["heldout"]))
    prompts = recipe.pair.positive if cell.method == PROMPT else ()
    models = {cell.method: model}
    asked = assembly(recipe, models, rewards, heldout, prompts, against=Path(base))
    result = asked.evaluate().models[cell.method]
    return {name: x.to_json() for name, x in result.figures.items()}, result.samples


def _base(cell: Cell, store: Store) -> str:
    return cell.recipe.model.path or str(store.model(artefacts(cell)["model"]))


def _try(unit: Unit, store: Store, grid: Grid, say: Say) -> bool:
    """Do a unit if it can be done and nobody else is at it; whether anything changed."""
    states = [store.record(name) for name in unit.needs]
    broken = next((s["error"] for s in states if s and "error" in s), None)
    if broken is None and any(state is None for state in states):
        return False
    with store.claimed(unit.name) as mine:
        if not mine or store.record(unit.name) is not None:
            return False
        refuse_changed(f"what {unit.name} is made from", unit.sources)
        if broken is not None:
            store.failed(unit.name, f"what it needs failed: {broken}")
            return True
        start = time.perf_counter()
        try:
            unit.work(store)
        except Exception as error:  # a cell that fails is data, and the rest goes on
            store.failed(unit.name, error)
            say(f"failed: {unit.name}: {error}")
            return True
        store.finished(unit.name, time.perf_counter() - start)
        say(progress(grid, store, unit.name, 1))
        return True


# ---------------------------------------------------------------------- many processes


def progress(grid: Grid, store: Store, last: str, workers: int) -> str:
    """One line: what was finished, how much is left, how long it may take."""
    known = list(units(grid, store))
    records = store.records()
    done = sum(unit.name in records for unit in known)
    left = time_left(grid, store, workers)
    told = "time left not known yet" if left is None else f"about {left / 60:.0f} min left"
    return f"{done} units done, {last} the last; {told}"


def _watch(grid: Grid, store: Store, helpers: Sequence[subprocess.Popen[bytes]], say: Say) -> None:
    """Report what the workers finish until they are through."""
    known = set(store.records())
    while any(helper.poll() is None for helper in helpers):
        time.sleep(POLL)
        new = set(store.records()) - known
        if new:
            say(progress(grid, store, sorted(new)[-1], len(helpers)))
            known |= new
    for helper in helpers:
        if helper.returncode:
            raise RuntimeError(f"a worker ended with exit code {helper.returncode}")


def _start_worker(workers: int) -> subprocess.Popen[bytes]:
    """This very command again, as one of several workers with its share of the cores."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), WORKER: "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "neat_align", *sys.argv[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
    )

"""The work of a grid, done one unit at a time, by one process or by many.

Every process walks the same list, takes the
first unit whose inputs are there and that nobody holds, and goes on until none is left; so
a grid runs in one process, in several on one machine, or under any scheduler whose jobs
share the directory. What is finished is found by its content and never done twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from neat_align.provenance import refuse_changed
from neat_align.storage.runs import RunDirectory
from neat_align.study.grid import Grid
from neat_align.study.store import Store
from neat_align.study.units import Unit, time_left, units

MANIFEST = {"kind": "comparison"}
WORKER = "NEAT_COMPARE_WORKER"  # set in the environment of a worker process
POLL = 1.0  # seconds between two looks at what other processes have finished

Say = Callable[[str], None]


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


def _try(unit: Unit, store: Store, grid: Grid, say: Say) -> bool:
    """Do a unit if it can be done and nobody else is at it; tell whether anything changed."""
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


def progress(grid: Grid, store: Store, last: str, workers: int) -> str:
    """Tell in a line what was finished, how much is left, and how long it may take."""
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
    """Start this very command again, as one of several workers with its share of the cores."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), WORKER: "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "neat_align", *sys.argv[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
    )

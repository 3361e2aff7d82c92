"""Shards of a data set as tasks of a Ray cluster.

A shard is the same work wherever it is done, and may be done again without harm, so a worker
that is lost costs what its part had taken. Workers need this package, and the paths of input,
model and output on storage that all of them see.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from neat_align.errors import InputError, NeatError, RecipeError

Told = TypeVar("Told")
Work = Callable[[int], Told]
"""Writes the shard with this index, and tells of it."""


def ray_problems(
    address: str | None, shards: int, index: int, workers: int, gpus: float
) -> list[InputError]:
    """Find why these shards cannot run on Ray, or what is meant for it without an address."""
    problems: list[InputError] = []
    if address is None:
        if workers != 1 or gpus:
            given = f"--ray-workers {workers} and --ray-gpus {gpus:g} without --ray"
            problems.append(RecipeError(given, "they are of a cluster", "give --ray, too"))
        return problems
    if importlib.util.find_spec("ray") is None:
        fix = "pip install 'neat-align[ray]', in the version of the cluster"
        problems.append(RecipeError(f"--ray {address}", "Ray is not installed here", fix))
    if index:
        given = f"--ray {address} with --shard-index {index}"
        problems.append(RecipeError(given, "all shards are done there", "leave the index out"))
    if shards < workers:
        given = f"--num-shards {shards} for {workers} workers"
        fix = f"give --num-shards {4 * workers}: some more than workers, so that they end together"
        problems.append(RecipeError(given, "a shard is the work of one worker at a time", fix))
    return problems


def run_on_ray(
    start: Callable[[], Work[Told]], shards: int, address: str, workers: int, gpus: float
) -> list[Told]:
    """Write all shards on a Ray cluster; return the report of each, in order of shards.

    Args:
        start: called once in each worker, where it loads the model and returns the function
            that writes a shard. It is pickled and sent to the workers.
        address: of a running cluster ("auto" finds the one this machine belongs to), or
            "local" for one of this machine's own, for the length of the call.
        workers: shards that are written at a time.
        gpus: of each worker.

    Raises:
        NeatError: the first one that a worker raised; the other shards are written.
    """
    import ray

    ray.init(None if address == "local" else address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    # Rows that are there already need no task to read them, for which workers leave no room.
    rows = [{"shard": index} for index in range(shards)]
    try:
        told = (
            ray.data.from_items(rows, override_num_blocks=shards)
            .map_batches(
                _Worker,
                fn_constructor_args=(start,),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=workers),
                num_gpus=gpus or None,
            )
            .take_all()
        )
    finally:
        ray.shutdown()
    done = [pickle.loads(row["result"]) for row in sorted(told, key=lambda row: row["shard"])]
    for found in done:
        if isinstance(found, NeatError):
            raise found
    return done


class _Worker(Generic[Told]):
    """Lives in a worker for as long as there are shards to write.

    Our own errors come back as results: Ray would wrap them, and stop the other shards.
    """

    def __init__(self, start: Callable[[], Work[Told]]) -> None:
        self.start = start
        self.work: Work[Told] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        shards = [int(i) for i in batch["shard"]]
        return {"shard": shards, "result": [pickle.dumps(self._write(i)) for i in shards]}

    def _write(self, shard: int) -> Told | NeatError:
        try:
            self.work = self.work or self.start()
            return self.work(shard)
        except NeatError as error:
            return error

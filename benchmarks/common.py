"""What the benchmarks share: workloads, the model, interleaved timing, the machine's peak."""

from __future__ import annotations

import argparse
import functools
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from neat_align.models.layout.packable import prepare_for_packing
from neat_align.models.tokenized import TokenizedGroup
from neat_align.storage.runs import versions
from neat_align.study.memory import PeakMemory
from neat_align.types import Source

LENGTHS = (33, 88, 124, 118, 113, 24, 48, 31)
VOCABULARY = 32_000


@dataclass(frozen=True)
class Workload:
    """One group: a query of `query` tokens and responses of these lengths."""

    name: str
    query: int
    responses: tuple[int, ...]

    def group(self, seed: int) -> TokenizedGroup:
        """Random tokens of these lengths."""
        rng = torch.Generator().manual_seed(seed)

        def ids(count: int) -> list[int]:
            return torch.randint(3, VOCABULARY, (count,), generator=rng).tolist()

        k = len(self.responses)
        rows = [ids(n) for n in self.responses]
        return TokenizedGroup(ids(self.query), rows, [0.0] * k, [Source.PLAIN] * k)


WORKLOADS = (
    Workload("A", 256, LENGTHS),
    Workload("B", 64, LENGTHS),
    Workload("C", 512, (56, 52, 64, 55)),
)
SIZES = {
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "max_position_embeddings": 4096,
}


def make_model(dtype: torch.dtype, seed: int = 0) -> LlamaForCausalLM:
    """Make a random Llama of 56 million parameters, ready for packed rows."""
    logging.set_verbosity_error()
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=VOCABULARY, tie_word_embeddings=True, **SIZES)
    model = LlamaForCausalLM(config).to(dtype).train()
    prepare_for_packing(model)
    return model


def interleaved(sides: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median process seconds of each side, one call of each in turn after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(repeats):
        for name, side in sides.items():
            gc.collect()
            start = time.process_time()
            side()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def memory_above(side: Callable[[], Any]) -> int:
    """Bytes by which resident memory rose at its peak during a call.

    Only right in a process started by `in_fresh_process`: otherwise the C library keeps
    freed blocks, and a second call needs nothing new.
    """
    import psutil

    side()
    gc.collect()
    before = psutil.Process().memory_info().rss
    with PeakMemory() as memory:
        side()
    return max(0, memory.bytes - before)


def in_fresh_process(script: str, *words: str) -> int:
    """Run `script` with an allocator that returns every block; return what it prints last."""
    environment = {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "0",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, script, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


@functools.cache
def gemm_peak(dtype: torch.dtype) -> float:
    """FLOP per second of the largest product this process reaches, [2048]³."""
    a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
    a @ b
    times = []
    for _ in range(5):
        start = time.process_time()
        a @ b
        times.append(time.process_time() - start)
    return 2 * 2048**3 / min(times)


def training_flops(workload: Workload) -> float:
    """FLOP of forward and backward that nothing can save: each token once, what it sees once.

    Products with weights count 6 a weight and token; the LM head only where it predicts a
    response token; attention 12 a pair of positions, layer and hidden unit.
    """
    d, layers = SIZES["hidden_size"], SIZES["num_hidden_layers"]
    weights = layers * (4 * d * d + 3 * d * SIZES["intermediate_size"])
    responses = sum(workload.responses)
    pairs = workload.query * (workload.query + 1) / 2
    pairs += sum(n * workload.query + n * (n + 1) / 2 for n in workload.responses)
    head = 6 * d * VOCABULARY * responses
    return 6 * weights * (workload.query + responses) + 12 * layers * d * pairs + head


def arguments(description: str) -> argparse.Namespace:
    """Declare the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workloads", default="A,B,C")
    parser.add_argument("--dtypes", default="bfloat16,float32")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    return asked


def measured(
    asked: argparse.Namespace, measure: Callable[[Workload, torch.dtype, int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Measure each workload in each dtype asked for, and print each row as it comes."""
    rows = []
    for name in asked.dtypes.split(","):
        for workload in chosen(asked.workloads):
            rows.append(measure(workload, getattr(torch, name), asked.repeats))
            show(rows[-1])
    return rows


def chosen(names: str) -> list[Workload]:
    """Return the workloads of those names."""
    wanted = names.split(",")
    return [w for w in WORKLOADS if w.name in wanted]


def show(row: Mapping[str, Any]) -> None:
    """One measurement on one line."""
    print("  ".join(f"{k} {_short(v)}" for k, v in row.items()), flush=True)


def save(benchmark: str, rows: Sequence[Mapping[str, Any]], asked: argparse.Namespace) -> None:
    """Write the rows where asked."""
    if asked.json:
        told = {
            "benchmark": benchmark,
            "machine": f"{_processor()}, {asked.threads} thread(s)",
            "versions": {**versions(), "trl": _trl_version()},
            "rows": list(rows),
        }
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(told, indent=1) + "\n")


def _processor() -> str:
    """Return the processor's name, as Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _trl_version() -> str:
    from importlib.metadata import version

    return version("trl")

"""Two processes train as one does on the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("train_ranks.py")


def trained(directory, ranks, *arguments):
    directory.mkdir()
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    done = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), str(directory), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return torch.load(directory / "result.pt")


@pytest.mark.parametrize(
    ("kind", "max_tokens"), [("offline", 4096), ("offline", 60), ("online", 60)]
)
def test_two_ranks_equal_one_with_the_same_global_batch(tmp_path, kind, max_tokens):
    """With a small budget a rank does several passes, and its groups are split."""
    one = trained(tmp_path / "one", 1, kind, 4, max_tokens)
    two = trained(tmp_path / "two", 2, kind, 2, max_tokens)
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
    for name, expected in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], expected, rtol=1e-4, atol=1e-6)

"""The flat file that shows the whole method runs, teaches something, and stays short."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest
from tests.conftest import make_llama

PAGE = Path(__file__).parents[2] / "examples" / "neat_by_hand.py"


@pytest.fixture
def by_hand():
    spec = importlib.util.spec_from_file_location("neat_by_hand", PAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_one_that_can_be_read_in_a_sitting():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert not any("neat_align.training" in line for line in lines)  # by hand


def test_it_runs_as_the_page_says_and_the_reward_rises():
    done = subprocess.run([sys.executable, str(PAGE)], capture_output=True, text=True, check=True)
    steps = [line.split() for line in done.stdout.splitlines() if line.startswith("step")]
    losses, rewards = [float(s[3]) for s in steps], [float(s[6]) for s in steps]
    assert len(steps) == 20
    assert fmean(losses[-5:]) < fmean(losses[:5])
    assert fmean(rewards[-5:]) > 1.3 * fmean(rewards[:5])


def test_it_trains_the_model_of_a_directory(by_hand, tokenizer):
    model = make_llama(tokenizer)
    before = model.lm_head.weight.clone()
    rewards = by_hand.train(model, tokenizer, steps=1, rate=1e-2)
    assert 0 <= rewards[0] <= 1
    assert (model.lm_head.weight != before).any()

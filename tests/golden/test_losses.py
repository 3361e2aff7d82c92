"""Losses and gradients against values computed independently, in float64.

`losses.json` says how they were made; `test_brute_force.py` checks the same formulas
against a double loop.
"""

import json
from pathlib import Path

import pytest
import torch

from neat_align.objectives import OBJECTIVES, GroupLogps
from neat_align.objectives.contract import loss_and_gradients

GOLDEN = Path(__file__).parent / "losses.json"


def entries():
    cases = json.loads(GOLDEN.read_text())["cases"]
    return [
        pytest.param(case["inputs"], entry, id=f"{number}-{entry['objective']}-{i}")
        for number, case in enumerate(cases)
        for i, entry in enumerate(case["expected"])
        if entry["objective"] in OBJECTIVES
    ]


def batch_of(inputs):
    def tensor(name, dtype):
        return torch.tensor(inputs[name], dtype=dtype)

    return GroupLogps(
        policy=tensor("policy", torch.float64),
        length=tensor("length", torch.long),
        score=tensor("score", torch.float64),
        is_negative=tensor("is_negative", torch.bool),
        present=tensor("present", torch.bool),
        reference=tensor("reference", torch.float64),
        tokens=tensor("tokens", torch.float64),
        token_mask=tensor("token_mask", torch.bool),
    )


@pytest.mark.parametrize(("inputs", "entry"), entries())
def test_value_and_gradient(inputs, entry):
    objective = OBJECTIVES[entry["objective"]](**entry["parameters"])
    total, grad, token_grad = loss_and_gradients(objective, batch_of(inputs))
    close = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(total, torch.tensor(entry["total"], dtype=torch.float64), **close)
    expected = torch.tensor(entry["grad_policy"], dtype=torch.float64)
    torch.testing.assert_close(grad, expected, **close)
    if "grad_tokens" in entry:
        expected = torch.tensor(entry["grad_tokens"], dtype=torch.float64)
        torch.testing.assert_close(token_grad, expected, **close)

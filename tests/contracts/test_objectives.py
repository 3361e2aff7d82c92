"""Every objective keeps the public contract, with its defaults and with each of its options."""

import itertools

import pytest
import torch

from neat_align.objectives import (
    NEAT,
    OBJECTIVES,
    GroupLogps,
    LossTerms,
    Objective,
    check_objective,
)

VARIANTS = [
    NEAT.paper(),
    *(
        NEAT(lm_gate=gate, lm_threshold=threshold, rank_weight=weight)
        for gate, threshold in (("threshold", None), ("threshold", 0.2), ("above_plain", None))
        for weight in (0.0, 12.0)
    ),
    *(
        NEAT(rank=rank, penalty=penalty, penalty_weight=0.3, gate=gate)
        for rank, penalty, gate in itertools.product(
            ("hinge", "logsigmoid"),
            ("npo", "linear", "hinge", "unlikelihood", "none"),
            ("below_mean", "none"),
        )
    ),
]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_defaults_keep_the_contract(name):
    check_objective(OBJECTIVES[name]())


@pytest.mark.parametrize("objective", VARIANTS, ids=str)
def test_every_option_of_neat_keeps_the_contract(objective):
    check_objective(objective)


class SumOverGroups(Objective):
    name = "sum"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        policy = torch.where(logps.present, logps.policy, 0.0)
        return LossTerms({"lm": -policy.sum(1) * len(policy)})


class FirstResponse(Objective):
    name = "first"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        return LossTerms({"lm": -torch.where(logps.present, logps.policy, 0.0)[:, 0]})


class LeakyMask(Objective):
    name = "leaky"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        return LossTerms({"lm": -(logps.policy * logps.present).sum(1)})


class Overflow(Objective):
    name = "overflow"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        policy = torch.where(logps.present, logps.policy, 0.0)
        return LossTerms({"lm": (-policy).exp().sum(1)})


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (SumOverGroups(), "mean over groups"),
        (FirstResponse(), "permuting"),
        (LeakyMask(), "absent"),
        (Overflow(), "not finite"),
    ],
)
def test_the_check_finds_objectives_that_break_a_promise(broken, promise):
    with pytest.raises(AssertionError, match=promise):
        check_objective(broken)

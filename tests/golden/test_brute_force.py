"""Each formula again, as plain Python loops over numbers, straight from its definition."""

from math import exp, log

import pytest
import torch

from neat_align.objectives import DPO, NEAT, NEATPP, RRHF, SFT
from neat_align.objectives.contract import example_batch


class Response:
    def __init__(self, batch, g, i):
        self.s = batch.policy[g, i].item()
        self.a = self.s / batch.length[g, i].item()
        self.d = self.s - batch.reference[g, i].item()
        self.r = batch.score[g, i].item()
        self.negative = batch.is_negative[g, i].item()
        self.p = [exp(x) for x in batch.tokens[g, i][batch.token_mask[g, i]].tolist()]


def softplus(x):
    return max(x, 0) + log(1 + exp(-abs(x)))


def groups_of(batch):
    count, width = batch.policy.shape
    return [
        [Response(batch, g, i) for i in range(width) if batch.present[g, i]] for g in range(count)
    ]


def mean(values):
    return sum(values) / len(values) if values else 0.0


def best(group):
    return max(group, key=lambda x: x.r)


def rrhf(o, group):
    rank = sum(max(0, i.a - j.a) for i in group for j in group if i.r < j.r)
    return rank - o.lm_weight * best(group).s


def sft(o, group):
    return -best(group).a


def dpo(o, group):
    w, l = best(group), min(group, key=lambda x: x.r)  # noqa: E741
    return softplus(-o.beta * (w.d - l.d)) if w.r > l.r else 0.0


def neat(o, group):
    if not group:
        return 0.0
    pairs = [(i, j) for i in group for j in group if i.r - j.r > o.min_gap]
    if o.rank == "hinge":
        rank = mean([max(0, o.margin + j.a - i.a) for i, j in pairs])
    else:
        rank = mean(
            [
                min((i.r - j.r) / o.gap_scale, 1) * softplus(-o.rank_beta * (i.d - j.d))
                for i, j in pairs
            ]
        )
    average = mean([x.r for x in group])
    penalised = [x for x in group if x.negative and (o.gate == "none" or x.r < average)]
    penalty = {
        "none": lambda x: 0.0,
        "npo": lambda x: 2 / o.penalty_beta * softplus(o.penalty_beta * x.d),
        "linear": lambda x: max(0, x.a + o.penalty_bound),
        "hinge": lambda x: max(0, x.a - best(group).a + o.penalty_margin),
        "unlikelihood": lambda x: mean([-log(1 - p) for p in x.p]),
    }[o.penalty]
    return (
        o.rank_weight * rank
        - o.lm_weight * best(group).a
        + o.penalty_weight * mean([penalty(x) for x in penalised])
    )


def neat_pp(o, group):
    return neat(o, [x for x in group if not x.negative])


CASES = [
    (RRHF(), rrhf),
    (RRHF(lm_weight=0.3), rrhf),
    (SFT(), sft),
    (DPO(beta=0.3), dpo),
    (NEATPP(), neat_pp),
    (NEAT(), neat),
    (NEAT.paper(), neat),
    *((NEAT(penalty=p, penalty_weight=0.4), neat) for p in ("npo", "linear", "hinge")),
    (NEAT(penalty="unlikelihood", penalty_weight=0.4, gate="none", rank="hinge"), neat),
]


@pytest.mark.parametrize(("objective", "loop"), CASES, ids=lambda x: getattr(x, "name", ""))
@pytest.mark.parametrize("seed", range(4))
def test_against_a_double_loop(objective, loop, seed):
    batch = example_batch(seed, groups=5, responses=6)
    present = torch.rand(batch.present.shape, generator=torch.Generator().manual_seed(seed)) > 0.2
    present[:, 0] = True
    batch = batch.restricted_to(present)
    batch.score[:, 2] = batch.score[:, 1]  # some ties
    expected = mean([loop(objective, group) for group in groups_of(batch)])
    assert objective(batch).total.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)

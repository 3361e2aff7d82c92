"""Each formula again, as plain Python loops over numbers, straight from its definition."""

from math import exp, log

import pytest
import torch

from neat_align.objectives import (
    CDPO,
    CPO,
    D2O,
    DPO,
    IPO,
    KTO,
    NEAT,
    NEATPP,
    NPO,
    OBJECTIVES,
    ORPO,
    PRO,
    RRHF,
    SFT,
    SPPO,
    DPOHinge,
    ListMLE,
    RobustDPO,
    SimPO,
    SLiC,
    Unlikelihood,
)
from neat_align.objectives.contract import example_batch


class Response:
    def __init__(self, batch, g, i):
        self.s = batch.policy[g, i].item()
        self.length = batch.length[g, i].item()
        self.a = self.s / self.length
        self.d = self.s - batch.reference[g, i].item()
        self.r = batch.score[g, i].item()
        self.negative = batch.is_negative[g, i].item()
        self.plain = batch.is_plain[g, i].item()
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


def sigmoid(x):
    return exp(-softplus(-x))


def worst(group):
    return min(group, key=lambda x: x.r)


def rrhf(o, group):
    padded = max(x.length for x in group)

    def mean_logp(x):
        return x.s / padded if o.released else x.a

    rank = sum(max(0, mean_logp(i) - mean_logp(j)) for i in group for j in group if i.r < j.r)
    return rank - o.lm_weight * (mean_logp(best(group)) if o.released else best(group).s)


def ranked(group):
    return sorted(group, key=lambda x: -x.r)  # stable: ties by position


def listwise(group, temperature):
    total = 0.0
    for place, i in enumerate(group[:-1]):
        rest = [(j.a, temperature(i, j)) for j in group[place + 1 :]]
        own = i.a * max(t for _, t in rest)
        total += log(exp(own) + sum(exp(a * t) for a, t in rest)) - own
    return total


def pro(o, group):
    sft = o.sft_weight * (len(group) - 1) ** 2 * -best(group).s
    return listwise(ranked(group), lambda i, j: i.r - j.r) + sft


def listmle(o, group):
    return listwise(ranked(group), lambda i, j: 1.0)


def pairwise(loss, rest=lambda o, group: 0.0):
    def loop(o, group):
        w, v = best(group), worst(group)
        return rest(o, group) + (loss(o, w, v) if w.r > v.r else 0.0)

    return loop


def nll(o, group):
    return -o.lm_weight * best(group).a


def sum_nll(o, group):
    return -o.lm_weight * best(group).s


def z(o, w, v):
    return o.beta * (w.d - v.d)


def log_odds(x):
    return x.a - log(1 - exp(x.a))


def ipo_loss(o, w, v):
    return (w.d / w.length - v.d / v.length - 1 / (2 * o.beta)) ** 2


def cdpo_loss(o, w, v):
    e, m = o.label_smoothing, z(o, w, v)
    return (1 - e) * softplus(-m) + e * softplus(m)


def robust_loss(o, w, v):
    e, m = o.label_smoothing, z(o, w, v)
    return ((1 - e) * softplus(-m) - e * softplus(m)) / (1 - 2 * e)


def sppo(o, group):
    w, v = best(group), worst(group)
    if w.r == v.r:
        return 0.0

    def error(x):
        wins = mean([sigmoid(x.r - y.r) for y in group])
        return (x.d - (wins - 0.5) / o.beta) ** 2

    return (error(w) + error(v)) / 2


def kto(o, group):
    kl, average = 0.3, mean([x.r for x in group])  # 0.3 is `example_batch`'s
    if best(group).r == worst(group).r:
        return 0.0
    return mean(
        [
            o.desirable_weight * (1 - sigmoid(o.beta * (x.d - kl)))
            if x.r > average
            else o.undesirable_weight * (1 - sigmoid(o.beta * (kl - x.d)))
            for x in group
        ]
    )


def npo(o, group):
    return nll(o, group) + mean([2 / o.beta * softplus(o.beta * x.d) for x in group if x.negative])


def unlikelihood(o, group):
    return nll(o, group) + mean([mean([-log(1 - p) for p in x.p]) for x in group if x.negative])


def d2o(o, group):
    others = [x.d for x in group if not x.negative]
    if not others:
        return 0.0
    return mean([softplus(-(o.beta * mean(others) - o.alpha * x.d)) for x in group if x.negative])


def sft(o, group):
    return -best(group).a


dpo = pairwise(lambda o, w, v: softplus(-z(o, w, v)))


def neat(o, group):
    if not group:
        return 0.0
    spread = 0.9  # `example_batch`'s
    min_gap = 0.2 * spread if o.min_gap is None else o.min_gap
    gap_scale = 0.8 * spread if o.gap_scale is None else o.gap_scale
    pairs = [(i, j) for i in group for j in group if i.r - j.r > min_gap]
    if o.rank == "hinge":
        rank = mean([max(0, o.margin + j.a - i.a) for i, j in pairs])
    else:
        rank = mean(
            [
                min((i.r - j.r) / gap_scale, 1) * softplus(-o.rank_beta * (i.d - j.d))
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
    plain = [x.r for x in group if x.plain]
    is_open = {
        "threshold": best(group).r > (0.4 if o.lm_threshold is None else o.lm_threshold),
        "above_plain": bool(plain) and best(group).r - mean(plain) > min_gap,
        "off": True,
    }[o.lm_gate]  # 0.4 is `example_batch`'s border
    return (
        o.rank_weight * rank
        - o.lm_weight * is_open * best(group).a
        + o.penalty_weight * mean([penalty(x) for x in penalised])
    )


def neat_pp(o, group):
    return neat(o, [x for x in group if not x.negative])


CASES = [
    (RRHF(), rrhf),
    (RRHF(lm_weight=0.3), rrhf),
    (RRHF(lm_weight=0.3, released=True), rrhf),
    (PRO(), pro),
    (PRO(sft_weight=0.7), pro),
    (ListMLE(), listmle),
    (SFT(), sft),
    (SLiC(), pairwise(lambda o, w, v: max(0, o.delta - w.s + v.s), sum_nll)),
    (DPO(beta=0.3), dpo),
    (DPOHinge(beta=0.3), pairwise(lambda o, w, v: max(0, 1 - z(o, w, v)))),
    (CDPO(label_smoothing=0.2), pairwise(cdpo_loss)),
    (RobustDPO(label_smoothing=0.2), pairwise(robust_loss)),
    (IPO(beta=0.3), pairwise(ipo_loss)),
    (SimPO(), pairwise(lambda o, w, v: softplus(-(o.beta * (w.a - v.a) - o.gamma)))),
    (CPO(beta=0.3), pairwise(lambda o, w, v: softplus(-o.beta * (w.s - v.s)), nll)),
    (
        ORPO(beta=0.3),
        pairwise(
            lambda o, w, v: o.beta * softplus(-(log_odds(w) - log_odds(v))),
            lambda o, group: -best(group).a,
        ),
    ),
    (KTO(desirable_weight=1.3, undesirable_weight=0.7), kto),
    (SPPO(beta=0.2), sppo),
    (NPO(lm_weight=0.5), npo),
    (Unlikelihood(lm_weight=0.5), unlikelihood),
    (D2O(beta=0.2), d2o),
    (NEATPP(), neat_pp),
    (NEAT(), neat),
    (NEAT(min_gap=0.5), neat),
    (NEAT(min_gap=0.5, gap_scale=2.0), neat),
    (NEAT.paper(), neat),
    *((NEAT(lm_gate="threshold", lm_threshold=t), neat) for t in (None, 0.0, 1.2, 9.0)),
    *((NEAT(lm_gate="above_plain", min_gap=gap), neat) for gap in (None, 0.0, 1.2)),
    (NEATPP(lm_gate="above_plain"), neat_pp),
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


def test_every_objective_has_a_loop():
    assert {objective.name for objective, _ in CASES} == set(OBJECTIVES)

"""TRL's own loss code, run on the same log-probs, gives the same losses and gradients."""

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from neat_align.objectives import (
    CPO,
    DPO,
    IPO,
    KTO,
    ORPO,
    SPPO,
    DPOHinge,
    RobustDPO,
    SimPO,
)
from neat_align.objectives.contract import example_batch, loss_and_gradients

# TRL and what it imports warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


def pairs(seed):
    """Make groups of two; the first response of each is the winner."""
    batch = example_batch(seed, groups=5, responses=2)
    return replace(batch, score=torch.tensor([[9.0, -9.0]], dtype=torch.float64).expand(5, 2))


class Model(torch.nn.Module):
    """Stands in for a model: gives stored token log-probs, as TRL's fused head does."""

    def __init__(self, token_logps):
        super().__init__()
        self.token_logps = token_logps

    def forward(self, **kwargs):
        logps = self.token_logps
        return SimpleNamespace(
            log_probs=logps,
            entropy=torch.zeros_like(logps),
            mean_logits=torch.zeros_like(logps),
            is_top1=torch.zeros(logps.shape, dtype=torch.bool),
        )


class Accelerator:
    device = torch.device("cpu")

    @staticmethod
    def gather_for_metrics(x):
        return x

    gather = gather_for_metrics


def token_logps(sums, length, width):
    """Token log-probs [R, width] whose sums and lengths are those given."""
    mask = torch.arange(width) < length[:, None]
    return torch.where(mask, (sums / length)[:, None], 0.0), mask


def trainer_stub(**attributes):
    return SimpleNamespace(
        accelerator=Accelerator(),
        aux_loss_enabled=False,
        precompute_ref_logps=False,
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
        **attributes,
    )


def inputs_of(mask):
    """TRL's batch for rows whose completion mask (without the first position) is `mask`."""
    rows = len(mask)
    completion = torch.cat([torch.zeros(rows, 1, dtype=torch.long), mask.long()], 1)
    return {
        "input_ids": torch.ones_like(completion),
        "attention_mask": torch.ones_like(completion),
        "completion_mask": completion,
    }


def by_side(values):
    """[G, 2] → [2G], the winners first, as TRL lays a batch out."""
    return torch.cat([values[:, 0], values[:, 1]])


def trl_dpo(batch, loss_type, beta, label_smoothing=0.0):
    from trl import DPOTrainer

    policy = batch.policy.clone().requires_grad_()
    width = int(batch.length.max())
    own, mask = token_logps(by_side(policy), by_side(batch.length), width)
    reference, _ = token_logps(by_side(batch.reference), by_side(batch.length), width)
    model, ref_model = Model(own), Model(reference)
    stub = trainer_stub(
        model=model,
        ref_model=ref_model,
        ld_alpha=None,
        f_divergence_type="reverse_kl",
        loss_types=[loss_type],
        loss_weights=[1.0],
        beta=beta,
        label_smoothing=label_smoothing,
        use_weighting=False,
    )
    from unittest.mock import patch

    with patch("trl.trainer.dpo_trainer.disable_gradient_checkpointing", no_context):
        loss = DPOTrainer._compute_loss(stub, model, inputs_of(mask), False)
    return loss, torch.autograd.grad(loss, policy)[0]


class no_context:
    def __init__(self, *args):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *args):
        pass


def assert_same(objective, batch, expected, factor=1.0):
    loss, gradient, _ = loss_and_gradients(objective, batch)
    torch.testing.assert_close(loss, factor * expected[0].detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient, factor * expected[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("objective", "loss_type", "smoothing"),
    [
        (DPO(beta=0.2), "sigmoid", 0.0),
        (DPOHinge(beta=0.2), "hinge", 0.0),
        (RobustDPO(beta=0.2, label_smoothing=0.1), "robust", 0.1),
        (IPO(beta=0.2), "ipo", 0.0),
    ],
    ids=["dpo", "dpo_hinge", "robust_dpo", "ipo"],
)
def test_dpo_and_its_relatives(objective, loss_type, smoothing, seed):
    batch = pairs(seed)
    assert_same(objective, batch, trl_dpo(batch, loss_type, 0.2, smoothing))


def test_sppo_with_certain_winners():
    """TRL has the hard variant: P is 1 and 0. With the response itself in the mean, as in
    ours, P is 3/4 and 1/4, which is TRL's target at twice the β; ours is half its sum."""
    batch = pairs(0)
    batch = replace(batch, score=batch.score * 1e3)
    assert_same(SPPO(beta=0.2), batch, trl_dpo(batch, "sppo_hard", 0.4), factor=0.5)


@pytest.mark.parametrize("kl", [-0.5, 0.7])
def test_kto(kl):
    from unittest.mock import patch

    from trl import KTOTrainer

    batch = replace(pairs(1), kl=torch.tensor(kl, dtype=torch.float64))
    policy = batch.policy.clone().requires_grad_()
    width = int(batch.length.max())
    own, mask = token_logps(by_side(policy), by_side(batch.length), width)
    reference, _ = token_logps(by_side(batch.reference), by_side(batch.length), width)
    model, ref_model = Model(own), Model(reference)

    def kl_logps(asked, _batch):
        return torch.full((10,), kl if asked is model else 0.0, dtype=torch.float64)

    stub = trainer_stub(
        model=model,
        ref_model=ref_model,
        calculate_KL=True,
        loss_type="kto",
        beta=0.2,
        desirable_weight=1.3,
        undesirable_weight=0.7,
        _compute_kl_logps=kl_logps,
    )
    inputs = {**inputs_of(mask), "label": torch.tensor([True] * 5 + [False] * 5)}
    with patch("trl.trainer.kto_trainer.disable_gradient_checkpointing", no_context):
        loss = KTOTrainer._compute_loss(stub, model, inputs, False)
    expected = loss, torch.autograd.grad(loss, policy)[0]
    assert_same(KTO(beta=0.2, desirable_weight=1.3, undesirable_weight=0.7), batch, expected)


@pytest.mark.parametrize("loss_type", ["sigmoid", "simpo"])
def test_cpo_and_simpo(loss_type):
    from trl.experimental.cpo import CPOTrainer

    batch = pairs(2)
    policy = batch.policy.clone().requires_grad_()
    stub = SimpleNamespace(
        alpha=0.0,
        accelerator=Accelerator(),
        loss_type=loss_type,
        simpo_gamma=0.5,
        beta=0.3,
        label_smoothing=0.0,
    )
    values = policy / batch.length if loss_type == "simpo" else policy
    losses, *_ = CPOTrainer.cpo_loss(stub, values[:, 0], values[:, 1])
    loss = losses.mean()
    objective = SimPO(beta=0.3, gamma=0.5)
    if loss_type == "sigmoid":  # TRL adds the language-modelling term elsewhere
        objective = CPO(beta=0.3, lm_weight=0.0)
    assert_same(objective, batch, (loss, torch.autograd.grad(loss, policy)[0]))


def test_orpo():
    from trl.experimental.orpo import ORPOTrainer

    batch = pairs(3)
    policy = batch.policy.clone().requires_grad_()
    stub = SimpleNamespace(beta=0.3, accelerator=Accelerator())
    mean = policy / batch.length
    ratio, *_ = ORPOTrainer.odds_ratio_loss(stub, mean[:, 0], mean[:, 1])
    loss = -mean[:, 0].mean() - ratio.mean()  # as in its `get_batch_loss_metrics`
    found, gradient, _ = loss_and_gradients(ORPO(beta=0.3), batch)
    # Its odds are computed in float32.
    torch.testing.assert_close(found, loss.double(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient, torch.autograd.grad(loss, policy)[0], rtol=1e-5, atol=1e-6)

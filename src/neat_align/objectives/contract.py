"""The promises every objective keeps, as checks that anybody can run on their own."""

from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import Tensor

from neat_align.objectives.base import GroupLogps, Objective


def check_objective(objective: Objective) -> None:
    """Check the contract of an objective in float64.

    The loss is a finite scalar at extreme log-probs; permuting the responses permutes the
    gradient; an absent response, and padding to a larger K, has no effect and no gradient;
    repeating the batch leaves the loss unchanged; inputs are not mutated; `gradcheck`
    passes; tied, single-candidate and all-negative groups are defined; a loss with nothing
    to do is a zero connected to the graph; `usable` answers for each group by itself.

    Raises:
        AssertionError: names the promise that is broken.
    """
    of_run, *others = (example_batch(seed) for seed in range(3))
    for batch in (of_run, *(replace(other, spread=None) for other in others)):
        _check_finite(objective, batch)
        _check_permutation(objective, batch)
        _check_absent(objective, batch)
        _check_padding(objective, batch)
        _check_repetition(objective, batch)
        _check_purity(objective, batch)
        _check_gradient(objective, batch)
        _check_degenerate(objective, batch)
        _check_usable(objective, batch)


def example_batch(seed: int, groups: int = 3, responses: int = 4, tokens: int = 5) -> GroupLogps:
    """Make a random batch of ragged groups, float64, with reference and tokens."""
    generator = torch.Generator().manual_seed(seed)
    shape = (groups, responses)
    length = torch.randint(1, tokens + 1, shape, generator=generator)
    token_mask = torch.arange(tokens) < length[..., None]
    token_logps = -2.5 * torch.rand(*shape, tokens, generator=generator, dtype=torch.float64) - 0.05
    token_logps = torch.where(token_mask, token_logps, 0.0)
    policy = token_logps.sum(-1)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return GroupLogps(
        policy=policy,
        length=length,
        score=torch.randn(shape, generator=generator, dtype=torch.float64),
        is_negative=(torch.arange(responses) >= responses // 2).expand(shape).clone(),
        present=torch.ones(shape, dtype=torch.bool),
        reference=policy + noise,
        tokens=token_logps,
        token_mask=token_mask,
        kl=torch.tensor(0.3, dtype=torch.float64),
        spread=torch.tensor(0.9, dtype=torch.float64),
        is_plain=(torch.arange(responses) < (responses + 1) // 2).expand(shape).clone(),
        border=torch.tensor(0.4, dtype=torch.float64),
    )


def loss_and_gradients(objective: Objective, batch: GroupLogps) -> tuple[Tensor, Tensor, Tensor]:
    """Return the total, d total / d policy and d total / d tokens, the two held apart."""
    policy = batch.policy.detach().clone().requires_grad_()
    assert batch.tokens is not None
    tokens = batch.tokens.detach().clone().requires_grad_()
    total = objective(replace(batch, policy=policy, tokens=tokens)).total
    assert total.shape == (), f"the total has shape {tuple(total.shape)}, not that of a scalar"
    grads = torch.autograd.grad(total, (policy, tokens), allow_unused=True)
    filled = [torch.zeros_like(x) if g is None else g for x, g in zip((policy, tokens), grads)]
    return total.detach(), filled[0], filled[1]


def _check_finite(objective: Objective, batch: GroupLogps) -> None:
    for scale in (0.0, 1e-6, 1e3, 1e5):
        assert batch.tokens is not None
        extreme = replace(batch, policy=batch.policy * scale, tokens=batch.tokens * scale)
        for what, value in zip(
            ("loss", "gradient", "token gradient"), loss_and_gradients(objective, extreme)
        ):
            assert value.isfinite().all(), (
                f"the {what} is not finite at {scale} times the log-probs"
            )


def _check_permutation(objective: Objective, batch: GroupLogps) -> None:
    order = torch.randperm(batch.policy.shape[1], generator=torch.Generator().manual_seed(1))
    loss, grad, token_grad = loss_and_gradients(objective, batch)
    moved = loss_and_gradients(objective, _map(batch, lambda x: x[:, order]))
    _same(moved[0], loss, "permuting the responses changed the loss")
    _same(moved[1], grad[:, order], "permuting the responses did not permute the gradient")
    _same(moved[2], token_grad[:, order], "permuting the responses did not permute the gradient")


def _check_absent(objective: Objective, batch: GroupLogps) -> None:
    present = batch.present.clone()
    present[:, -1] = False
    base = replace(batch, present=present)
    loss = loss_and_gradients(objective, base)[0]
    for junk in (123.0, float("nan"), float("-inf")):
        policy, score = batch.policy.clone(), batch.score.clone()
        policy[:, -1], score[:, -1] = junk, junk
        other, grad, token_grad = loss_and_gradients(
            objective, replace(base, policy=policy, score=score)
        )
        _same(other, loss, f"an absent response with value {junk} changed the loss")
        assert (grad[:, -1] == 0).all(), "an absent response received a gradient"
        assert (token_grad[:, -1] == 0).all(), "an absent response received a token gradient"


def _check_padding(objective: Objective, batch: GroupLogps) -> None:
    def pad(x: Tensor) -> Tensor:
        extra = torch.zeros_like(x[:, :1])
        return torch.cat([x, extra, extra], dim=1)

    loss, grad, _ = loss_and_gradients(objective, batch)
    padded = loss_and_gradients(objective, _map(batch, pad))
    _same(padded[0], loss, "padding to a larger K changed the loss")
    _same(padded[1][:, : grad.shape[1]], grad, "padding to a larger K changed the gradient")


def _check_repetition(objective: Objective, batch: GroupLogps) -> None:
    loss = loss_and_gradients(objective, batch)[0]
    twice = loss_and_gradients(objective, _map(batch, lambda x: torch.cat([x, x])))[0]
    _same(twice, loss, "repeating the batch changed the loss: it is not a mean over groups")


def _check_purity(objective: Objective, batch: GroupLogps) -> None:
    copy = _map(batch, Tensor.clone)
    loss_and_gradients(objective, batch)
    for item in fields(batch):
        before, after = getattr(copy, item.name), getattr(batch, item.name)
        same = after is None if before is None else torch.equal(before, after)
        assert same, f"the objective wrote into {item.name}"


def _check_gradient(objective: Objective, batch: GroupLogps) -> None:
    def total(policy: Tensor, tokens: Tensor) -> Tensor:
        loss = objective(replace(batch, policy=policy, tokens=tokens)).total
        return loss + 0.0 * (policy.sum() + tokens.sum())  # gradcheck wants both connected

    assert batch.tokens is not None
    inputs = (
        batch.policy.detach().clone().requires_grad_(),
        batch.tokens.detach().clone().requires_grad_(),
    )
    if not objective.has_detached_terms:  # finite differences cannot know a stop-gradient
        assert torch.autograd.gradcheck(total, inputs, atol=1e-5), "gradcheck failed"


def _check_degenerate(objective: Objective, batch: GroupLogps) -> None:
    cases = {
        "tied": replace(batch, score=torch.zeros_like(batch.score)),
        "single-candidate": batch.restricted_to(torch.arange(batch.policy.shape[1]) == 0),
        "all-negative": replace(batch, is_negative=torch.ones_like(batch.is_negative)),
        "empty": replace(batch, present=torch.zeros_like(batch.present)),
    }
    for name, case in cases.items():
        policy = case.policy.detach().clone().requires_grad_()
        total = objective(replace(case, policy=policy)).total
        assert total.isfinite(), f"the loss of {name} groups is {total.item()}"
        assert total.requires_grad, f"the loss of {name} groups is cut from the graph"
    assert objective(cases["empty"]).total == 0, "the loss of empty groups is not 0"


def _check_usable(objective: Objective, batch: GroupLogps) -> None:
    """Which groups teach something depends on what is there alone, and not on the log-probs."""
    expected = objective.usable(batch)
    assert expected.dtype == torch.bool, "`usable` is no mask"
    assert expected.shape == batch.present.shape[:1], "`usable` is not one answer for each group"
    same = {
        "reordered": _map(batch, lambda x: x.flip(1)),
        "padded": _map(batch, lambda x: torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)),
        "of other log-probs": replace(batch, policy=torch.zeros_like(batch.policy)),
    }
    for how, other in same.items():
        assert torch.equal(objective.usable(other), expected), f"`usable` changed for groups {how}"
    twice = objective.usable(_map(batch, lambda x: torch.cat([x, x])))
    assert torch.equal(twice, torch.cat([expected, expected])), "`usable` depends on other groups"
    empty = replace(batch, present=torch.zeros_like(batch.present))
    assert not objective.usable(empty).any(), "an empty group counts as usable"


def _map(batch: GroupLogps, change: object) -> GroupLogps:
    values = {item.name: getattr(batch, item.name) for item in fields(batch)}
    of_run = {name: values.pop(name) for name in ("kl", "spread", "border")}
    return GroupLogps(**{k: change(v) for k, v in values.items()}, **of_run)  # type: ignore[operator]


def _same(a: Tensor, b: Tensor, message: str) -> None:
    assert torch.allclose(a, b, rtol=1e-9, atol=1e-12), message

"""The reference model: what the policy was before training.

Full fine-tuning keeps a frozen copy. With LoRA the frozen weights are the policy with its
adapter switched off; a policy that *started* from an adapter (an SFT adapter, say) is
compared with that adapter, of which a copy is kept under another name. Where biases below
the adapter are trained as well, switching it off is not enough, and a copy is kept again.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from peft import PeftModel

from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.local import TransformersSampler
from neat_align.training.adapters import trains_base

REFERENCE_ADAPTER = "neat_reference"


class Reference:
    """Gives the reference model for the duration of a `with` block.

    Args:
        policy: the model as training starts from it.
        given: a model of the user's own instead.
        started_from_adapter: the policy came with a trained adapter, which is then the
            reference.

    Attributes:
        precision: gives the context of its forward passes, the policy's autocast.
    """

    def __init__(
        self, policy: Any, given: Any | None = None, started_from_adapter: bool = False
    ) -> None:
        self.policy = policy
        self.kept: Any | None = given
        self.precision: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
        if given is None and (not isinstance(policy, PeftModel) or trains_base(policy)):
            self.kept = copy.deepcopy(policy)
        self.has_adapter = self.kept is None and started_from_adapter
        if self.has_adapter:
            _copy_adapter(policy)
        if self.kept is not None:
            self.kept.eval().requires_grad_(False)

    @contextlib.contextmanager
    def model(self) -> Iterator[torch.nn.Module]:
        """Give the reference, in evaluation mode; the policy is as before afterwards."""
        if self.kept is not None:
            self.kept.to(next(self.policy.parameters()).device)
            with self.precision():
                yield self.kept
            return
        was_training = self.policy.training
        self.policy.eval()
        try:
            with self.precision(), self._without_training_adapter():
                yield self.policy
        finally:
            self.policy.train(was_training)

    @contextlib.contextmanager
    def _without_training_adapter(self) -> Iterator[None]:
        if not self.has_adapter:
            with self.policy.disable_adapter():
                yield
            return
        active = self.policy.active_adapter
        trained = {n for n, p in self.policy.named_parameters() if p.requires_grad}
        self.policy.set_adapter(REFERENCE_ADAPTER)
        try:
            yield
        finally:
            self.policy.set_adapter(active)
            for name, parameter in self.policy.named_parameters():  # set_adapter rewrites this
                parameter.requires_grad_(name in trained)


class ReferenceSampler:
    """Samples from the reference model."""

    name = "reference"

    def __init__(self, reference: Any, prompt_format: PromptFormat, batch_size: int) -> None:
        self.reference, self.prompt_format, self.batch_size = reference, prompt_format, batch_size

    def sample(self, requests: Any, decoding: Any) -> Any:
        with self.reference.model() as model:
            sampler = TransformersSampler(model, self.prompt_format, self.name, self.batch_size)
            return sampler.sample(requests, decoding)


def _copy_adapter(policy: Any) -> None:
    """Copy the active adapter, frozen, to `REFERENCE_ADAPTER`."""
    active = policy.active_adapter
    policy.add_adapter(REFERENCE_ADAPTER, policy.peft_config[active])
    source = {n: p for n, p in policy.named_parameters() if f".{active}." in n}
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if f".{REFERENCE_ADAPTER}." in name:
                parameter.copy_(source[name.replace(REFERENCE_ADAPTER, active)])
                parameter.requires_grad_(False)

"""NEATTrainer: groups in, log-probabilities, objective, loss.

A `transformers.Trainer` whose batches are groups, which a `GroupSource` gives. All else
(optimiser, accumulation, checkpoints, logging, PEFT, DDP) is the Trainer's.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from neat_align.errors import NonFiniteLossError
from neat_align.models.tokenized import TokenizedGroup
from neat_align.prompts.prohibition import prohibition_warnings
from neat_align.sampling.base import Sampler
from neat_align.sampling.trial_result import SteeringTrial
from neat_align.training.arguments import (
    Adapter,
    Arguments,
    Callbacks,
    Data,
    HeldOut,
    Loss,
    Model,
    OptimizerClass,
    Optimizers,
    Prompts,
    Rewards,
    RewardTokenizers,
    Settings,
    Tokenizer,
)
from neat_align.training.assembly import assembled
from neat_align.training.batches import MicroBatch, TrainingPass, loss_terms, training_passes
from neat_align.training.callbacks import GuardRails, MetricsFile
from neat_align.training.checkpoints import chosen_checkpoint
from neat_align.training.checks import check_launch, checked_arguments
from neat_align.training.config import NEATConfig
from neat_align.training.engines import engine_sampler
from neat_align.training.entries import Entries
from neat_align.training.evaluation import EvaluatingTrainer
from neat_align.training.group_source import GroupSource, Online, Stored
from neat_align.training.metrics import logp_metrics, loss_metrics
from neat_align.training.model_card import model_card
from neat_align.training.precision import on_one_device
from neat_align.training.resumed import refuse_other_training, write_made_from
from neat_align.training.sharding import shards_weights, whole_weights, with_idle_passes
from neat_align.training.steering_trial import FirstTrial, figures
from neat_align.training.stopwatch import Phases


class NEATTrainer(EvaluatingTrainer):
    """Align a causal language model by groups of its own answers.

    Args:
        model: a model, directory or hub id.
        reward_funcs: one or several scorers: callables in TRL's signature, model ids,
            directories, modules, "file.py:function", "polarity" (reward-free).
        args: a `NEATConfig`, a mapping of its fields, or None for its defaults.
        train_dataset: queries, texts, conversations or rows in one of TRL's formats, in a
            list, a `datasets.Dataset`, a DataFrame, a file or a stream (sampled online); or
            stored, scored groups (offline). Of a stream as many rows are read as max_steps
            needs.
        eval_dataset: what `train_dataset` may be, or several by their names; see
            `training.evaluation`.
        processing_class: tokenizer, or the name of one; that of `model` when None.
        callbacks, optimizers, optimizer_cls_and_kwargs: the Trainer's.
        peft_config: LoRA or another adapter to train instead of all weights, also as a
            mapping: {"r": 16}.
        objective: what to minimise: an objective, its class, its name, or a mapping as in a
            recipe; `NEAT()` when None.
        steering: the positive and negative prompts, as a `Steering`, a name ("polite"), a
            YAML or JSON file, or a mapping ({"negative": "Be rude."}); needed when queries
            are sampled or `negative_context` is used.
        reward_weights: one weight for each of the reward_funcs, 1 by default.
        reward_processing_classes: the tokenizer of each reward model that is given as a module.
        reference_model: what to compare with instead of the initial policy, or its name.
        sampler: draws instead of the policy itself (a server, a script).

    Raises:
        RecipeError: what is given does not fit together (say, an objective that needs
            negatives, and a plan without any).
    """

    args: NEATConfig

    def __init__(
        self,
        model: Model,
        reward_funcs: Rewards | None = None,
        args: Settings | None = None,
        train_dataset: Data | None = None,
        eval_dataset: HeldOut | None = None,
        processing_class: Tokenizer | None = None,
        callbacks: Callbacks | None = None,
        optimizers: Optimizers = (None, None),
        peft_config: Adapter | None = None,
        *,
        objective: Loss | None = None,
        steering: Prompts | None = None,
        reward_weights: Sequence[float] | None = None,
        reward_processing_classes: RewardTokenizers | None = None,
        reference_model: Model | None = None,
        sampler: Sampler | None = None,
        optimizer_cls_and_kwargs: OptimizerClass | None = None,
        **unknown: Any,
    ) -> None:
        arguments = Arguments(
            model, reward_funcs, args, train_dataset, eval_dataset, processing_class, callbacks,
            optimizers, peft_config, objective, steering, reward_weights,
            reward_processing_classes, reference_model, sampler, optimizer_cls_and_kwargs,
        )  # fmt: skip
        given = checked_arguments(arguments, unknown)
        for text in prohibition_warnings(given.steering) if given.steering else ():
            warnings.warn(text, stacklevel=2)
        parts = assembled(given, self._policy)
        ready = parts.trained
        self.objective, self.steering = given.objective, given.steering
        self.negative_context, self.config_dropout = given.negative_context, ready.dropout
        self.prompt_format, self.reference = ready.prompt_format, parts.reference
        self.maker, self.notes = parts.maker, parts.notes
        self.signal, self.stopwatch = parts.notes.signal, parts.notes.stopwatch
        self.steering_trial: SteeringTrial | None = None
        on_one_device(given.args)
        super().__init__(
            model=ready.model,
            args=given.args,
            train_dataset=given.trained,  # type: ignore[arg-type]
            eval_dataset=given.held_out,  # type: ignore[arg-type]
            data_collator=list,
            processing_class=ready.prompt_format.tokenizer,
            callbacks=given.callbacks,
            optimizers=given.optimizers,
            optimizer_cls_and_kwargs=given.optimizer_class,
        )
        check_launch(given, ready.model, self.accelerator, self.prompt_format)
        # compute_loss divides by the groups of the global batch, exactly, whatever the
        # accumulation and the number of ranks; the Trainer must not divide again.
        self.loss_is_scaled_for_ga = True
        if self.reference is not None:  # in the precision of the policy's passes
            self.reference.precision = self.accelerator.autocast
        self._watch()
        self.source = self._source(parts.entries)

    def _watch(self) -> None:
        """Guard the training, time it, and keep its figures."""
        self.add_callback(GuardRails(self.args, self.objective, self.signal))
        self.add_callback(Phases(self.stopwatch))
        self.add_callback(MetricsFile(Path(str(self.args.output_dir))))

    def _source(self, entries: Entries) -> GroupSource:
        """Choose where groups come from, by what the training data are."""
        args, maker, accelerator = self.args, self.maker, self.accelerator
        if maker is not None:
            maker.scorers.watch(lambda: self.state)
            if args.engine is not None:
                model = accelerator.unwrap_model(self.model)
                maker.policy = engine_sampler(args, model, accelerator, self.prompt_format)
        if not entries.records.are_queries:
            return Stored(entries, self.notes)
        trial = FirstTrial(
            maker, entries.records, args, accelerator, self.negative_context > 0, self._note_trial
        )
        return Online(maker, entries, self.notes, trial, accelerator)

    def _note_trial(self, trial: SteeringTrial) -> None:
        self.steering_trial = trial
        if self.signal.border is None and not self.maker.scorers.reads_source:
            self.signal.border = trial.border
        self.log(figures(trial))

    @contextlib.contextmanager
    def _policy(self) -> Iterator[Any]:
        """Give the policy to what scores with it."""
        yield self.accelerator.unwrap_model(self.model)

    def train(
        self, resume_from_checkpoint: str | Path | bool | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Train as the Trainer does; an engine is left as it was found.

        Args:
            resume_from_checkpoint: a checkpoint, True for the last one in output_dir, False
                for none; that of the settings when None.
        """
        if resume_from_checkpoint is None:
            resume_from_checkpoint = self.args.resume_from_checkpoint
        chosen = chosen_checkpoint(resume_from_checkpoint, Path(str(self.args.output_dir)))
        self.source.begin()
        try:
            return super().train(chosen, *args, **kwargs)
        finally:
            if self.maker is not None:
                self.maker.close()

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list[MicroBatch], int]:
        """Return the micro-batches of one optimiser step, and the groups of the global batch."""
        if self.is_at_end():
            return [], 0
        step = self.state.global_step
        with whole_weights(self.accelerator.unwrap_model(self.model)):  # ranks sample on their own
            batches = self.source.batches(epoch_iterator, num_batches, step)
            entries = [self.source.entries.tokenized(groups, step) for groups in batches]
            count = torch.tensor(sum(map(len, batches)), device=device)
            total = max(1, int(self.accelerator.gather(count).sum()))
            # One estimate for the whole step, whatever its micro-batches.
            kl = self._kl([entry for part in entries for entry in part if entry.weight])
            return [self._micro_batch(part, kl) for part in entries], total

    def _micro_batch(self, entries: list[TokenizedGroup], kl: torch.Tensor | None) -> MicroBatch:
        """Cut a micro-batch into passes, as many as the other ranks have where that matters."""
        border, sharded = self.signal.border, shards_weights(self.accelerator)
        spread = torch.tensor(self.signal.spread, device=self.accelerator.device)
        passes = training_passes(self._layout, entries, spread, kl, not sharded, border)
        return MicroBatch(with_idle_passes(self.accelerator, passes) if sharded else passes)

    def _prepare_inputs(self, inputs: TrainingPass) -> TrainingPass:  # type: ignore[override]
        """Move a pass to the device; the Trainer's own would cast its scores for DeepSpeed."""
        return inputs.to(self.args.device)

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: the operations of a step are not counted."""
        return 0

    def compute_loss(
        self,
        model: Any,
        inputs: TrainingPass,  # type: ignore[override]
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Return Σ_groups weight · loss / groups of the global batch.

        DDP averages gradients over ranks, so the sum is multiplied by their number.
        """
        bare = self.accelerator.unwrap_model(model)
        logps = inputs.logps(model, bare, with_tokens=self.objective.needs_tokens)
        terms = loss_terms(self.objective, logps)
        loss = (terms.per_group * inputs.weight).sum()
        loss = loss * self.accelerator.num_processes / num_items_in_batch
        if not torch.isfinite(loss):
            self._refuse_loss(loss, inputs)
        if inputs.weight.any():  # not an idle pass
            self.stopwatch.count("training", int(logps.length.sum()))
            groups, means = float(num_items_in_batch), self.notes.means
            means.add_weighted(loss_metrics(terms, inputs.weight, groups))
            means.add_weighted(logp_metrics(logps, inputs.clean))
        return loss

    def training_step(  # type: ignore[override]
        self, model: Any, inputs: MicroBatch, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Forward and backward of one micro-batch, timed; gradients meet other ranks once."""
        *others, last = inputs.passes
        state = self.accelerator.gradient_state
        is_last_micro_batch = state.sync_gradients
        with self.stopwatch.time("training"):
            loss = torch.zeros((), device=self.args.device)
            state._set_sync_gradients(False)  # DeepSpeed steps by it
            with self.accelerator.no_sync(model):
                for part in others:
                    loss += super().training_step(model, part, num_items_in_batch)
            state._set_sync_gradients(is_last_micro_batch)
            return loss + super().training_step(model, last, num_items_in_batch)

    def _refuse_loss(self, loss: torch.Tensor, inputs: TrainingPass) -> None:
        path = Path(str(self.args.output_dir)) / f"non_finite_step_{self.state.global_step}.pt"
        torch.save(asdict(inputs), path)
        raise NonFiniteLossError(
            f"a loss of {loss.item()} at step {self.state.global_step}",
            "training on would destroy the model",
            f"look at the batch saved in {path}; a lower learning rate or float32 often helps",
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as the Trainer does, with the figures that were noted since the last step's log."""
        if "loss" in logs:
            logs |= self.notes.take(self.state.global_step, self.accelerator)
        super().log(logs, start_time)

    def save_beside(self, folder: Path) -> None:
        """Write what the training is made from, and what its groups need to go on."""
        if self.is_world_process_zero():
            write_made_from(folder, self)
        self.source.save(folder, self.args.process_index)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        refuse_other_training(folder, self)
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.source.load(folder, self.args.process_index)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write README.md beside the weights: what was asked for, and with what settings."""
        path = Path(str(self.args.output_dir)) / "README.md"
        if self.is_world_process_zero():
            path.write_text(model_card(self), encoding="utf-8")

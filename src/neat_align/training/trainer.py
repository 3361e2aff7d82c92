"""NEATTrainer: groups in, log-probabilities, objective, loss.

A `transformers.Trainer` whose batches are groups. The one place where online and offline
differ is `get_batch_samples`: queries are sampled and scored there, stored groups pass
through. All else (optimiser, accumulation, checkpoints, logging, PEFT, DDP) is the Trainer's.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from neat_align.errors import NonFiniteLossError, raise_all
from neat_align.objectives import Objective
from neat_align.prompts.chat import PromptFormat
from neat_align.prompts.prohibition import prohibition_warnings
from neat_align.sampling.base import Sampler
from neat_align.sampling.groups import draw_seed
from neat_align.sampling.verdict import SteeringTrial
from neat_align.training.argument_values import reference_of, tokenizer_of
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
from neat_align.training.assembly import make_maker, make_reference, make_scorers, prepared_model
from neat_align.training.batches import MicroBatch, TrainingPass, loss_terms
from neat_align.training.callbacks import GuardRails, MetricsFile
from neat_align.training.checkpoints import chosen_checkpoint
from neat_align.training.completions import CompletionsLog
from neat_align.training.config import NEATConfig
from neat_align.training.engines import EngineSampler, engine_problems, engine_sampler
from neat_align.training.evaluation import EvaluatingTrainer
from neat_align.training.given import Given, read_arguments
from neat_align.training.given_objects import optimizer_problems, reference_problems, say_unread
from neat_align.training.launch import launch_problems
from neat_align.training.lengths import check_queries_fit
from neat_align.training.metrics import group_metrics, logp_metrics, loss_metrics, refuse_taken
from neat_align.training.online import (
    ScoredGroupMaker,
    trainable,
)
from neat_align.training.pending import load_pending, save_pending
from neat_align.training.precision import on_one_device
from neat_align.training.repeats import repeat_numbers
from neat_align.training.resumed import refuse_other_training, write_made_from
from neat_align.training.run_signal import ScoreSignal
from neat_align.training.running_means import RunningMeans
from neat_align.training.sharding import (
    sharding_problems,
    whole_weights,
)
from neat_align.training.steering_trial import try_steering
from neat_align.training.stopwatch import Phases, Stopwatch
from neat_align.training.unanswered import METRIC, dealt, left_out_share
from neat_align.types import Group


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
    objective: Objective

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
        given = read_arguments(arguments, unknown)
        args, self.objective, self.steering = given.args, given.objective, given.steering
        for text in prohibition_warnings(self.steering) if self.steering else ():
            warnings.warn(text, stacklevel=2)
        self.online, self.negative_context = given.trained.are_queries, given.negative_context
        tokenizer = tokenizer_of(processing_class, model, given.loading.revision)
        self.prompt_format = PromptFormat(tokenizer, args.template_arguments)
        given.check_conversations(self.prompt_format)
        trained = prepared_model(given.load_model(), given.peft_config, args, tokenizer)
        model, self.config_dropout = trained.model, trained.dropout
        other = reference_of(given.arguments.reference_model)
        raise_all(reference_problems(other, model, tokenizer))
        raise_all(optimizer_problems(given.optimizers[0], model))
        self.reference = make_reference(
            args,
            self.objective,
            given.rewards if given.samples else None,
            model,
            other,
            trained.came_with_adapter,
        )
        say_unread(given.samples, reward_funcs, given.sampler, other, self.reference is not None)
        self.stopwatch = Stopwatch()
        self.maker = (
            self._maker(args, model, given.rewards, reward_weights, given.sampler)
            if given.samples
            else None
        )
        self.signal = ScoreSignal(self.objective)
        if not self.online:
            self.signal.calibrate(given.trained)
        self._pending: list[list[Group]] = []
        self._resumed_batches = 0
        self._tried = False
        self.steering_trial: SteeringTrial | None = None
        self._stored = {}
        self._numbers = {} if self.online else repeat_numbers(given.trained)
        self._means = RunningMeans()
        self.completions = CompletionsLog(Path(str(args.output_dir)))
        on_one_device(args)
        super().__init__(
            model=model,
            args=args,
            train_dataset=given.trained,  # type: ignore[arg-type]
            eval_dataset=given.held_out,  # type: ignore[arg-type]
            data_collator=list,
            processing_class=tokenizer,
            callbacks=given.callbacks,
            optimizers=given.optimizers,
            optimizer_cls_and_kwargs=given.optimizer_class,
        )
        if self.reference is not None:  # in the precision of the policy's passes
            self.reference.precision = self.accelerator.autocast
        self._check_launched(given, model, draws=given.samples and given.sampler is None)
        # compute_loss divides by the groups of the global batch, exactly, whatever the
        # accumulation and the number of ranks; the Trainer must not divide again.
        self.loss_is_scaled_for_ga = True
        self._watch()
        self.engine: EngineSampler | None = None
        if self.maker is not None:
            self.maker.scorers.watch(lambda: self.state)
        if args.engine is not None and self.maker is not None:
            self.engine = engine_sampler(args, model, self.accelerator, self.prompt_format)
            self.maker.policy = self.engine

    def _check_launched(self, given: Given, model: Any, draws: bool) -> None:
        """What shows once the Trainer knows its processes and devices; raises an `InputError`."""
        args = given.args
        raise_all(launch_problems(self.accelerator, args.processes))
        raise_all(sharding_problems(self.accelerator, isinstance(model, PeftModel)))
        raise_all(engine_problems(args, model, self.accelerator, draws))
        pair = given.steering
        prompts = (*pair.positive, *pair.negative) if pair else ()
        for records in given.sets if draws else ():
            if records.are_queries:
                check_queries_fit(model, records, self.prompt_format, prompts, args)

    def _watch(self) -> None:
        """Guard the training, time it, and keep its figures."""
        self.add_callback(GuardRails(self.args, self.objective, self.signal))
        self.add_callback(Phases(self.stopwatch))
        self.add_callback(MetricsFile(Path(str(self.args.output_dir))))

    def train(
        self, resume_from_checkpoint: str | Path | bool | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """The Trainer's `train`; an engine is left as it was found.

        Args:
            resume_from_checkpoint: a checkpoint, True for the last one in output_dir, False
                for none; that of the settings when None.
        """
        if resume_from_checkpoint is None:
            resume_from_checkpoint = self.args.resume_from_checkpoint
        chosen = chosen_checkpoint(resume_from_checkpoint, Path(str(self.args.output_dir)))
        self._pending, self._resumed_batches = [], 0  # of a training before in this process
        with contextlib.ExitStack() as at_end:
            if self.engine is not None:
                at_end.callback(self.engine.engine.close)
            return super().train(chosen, *args, **kwargs)

    # ---------------------------------------------------------------- batches of groups

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list[MicroBatch], int]:
        """The micro-batches of one optimiser step, and the groups of the global batch."""
        if self.is_at_end():
            return [], 0
        for _ in range(self._resumed_batches):  # their groups came with the checkpoint
            next(epoch_iterator)
        self._resumed_batches = 0
        # Ranks sample at their own pace.
        with whole_weights(self.accelerator.unwrap_model(self.model)):
            if self.args.steering_try_queries and not self.state.global_step + self._tried:
                self._tried = True
                try_steering(self)
            return self._batches(epoch_iterator, num_batches, device)

    def _batches(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list[MicroBatch], int]:
        if not self._pending:
            steps = self.args.refresh_every if self.online else 1
            self._pending = self._draw(epoch_iterator, num_batches * steps)
        micro_batches, self._pending = self._pending[:num_batches], self._pending[num_batches:]
        tokenized = [self._tokenize(groups) or self._idle() for groups in micro_batches]
        count = torch.tensor(sum(map(len, micro_batches)), device=device)
        total = max(1, int(self.accelerator.gather(count).sum()))
        spread, kl = torch.tensor(self.signal.spread, device=device), None
        if self.objective.needs_kl:  # one estimate for the whole step, whatever its micro-batches
            entries = [g for groups in tokenized for g in groups if g.weight]
            kl = self._mismatched_kl(entries, device)
        return [self._micro_batch(groups, spread, kl) for groups in tokenized], total

    def _draw(self, epoch_iterator: Iterator, batches: int) -> list[list[Group]]:
        """The next batches of scored groups; queries are sampled together, then split again."""
        items = [batch for _, batch in zip(range(batches), epoch_iterator, strict=False)]
        if not self.online:
            stored = [group for batch in items for group in batch]
            self.signal.figures(stored).note(self._means)
            return items
        assert self.maker is not None
        queries = [query for batch in items for query in batch]
        if self.engine is not None and queries:
            assert self.steering is not None
            with self.stopwatch.time("sampling"):
                difference = self.engine.renew(queries, self.steering.negative)
            self._means.add({"engine/logp_difference": difference}, len(queries))
        seed = draw_seed(self.args.seed, self.state.global_step)
        made = self.maker.make(queries, seed)
        self._note_scoring(made)
        share = left_out_share(self.accelerator, made, queries, self.maker.unanswered)
        self._means.add({METRIC: share} if share else {}, len(queries))
        groups = trainable(made, warnings.warn)
        self.signal.add(groups, self.accelerator.num_processes).note(self._means)
        self._means.add_weighted(group_metrics(groups))
        return dealt(groups, [len(batch) for batch in items])

    def _note_scoring(self, groups: Sequence[Group]) -> None:
        """What the reward functions told beside their scores, for the logs."""
        assert self.maker is not None
        told = refuse_taken(self.maker.scorers.take_metrics())
        self._means.add(told if groups else {}, len(groups))
        extras = self.maker.scorers.take_extras()
        if self.args.log_completions:
            self.completions.add(groups, extras)

    # ------------------------------------------------------------------------- the loss

    def compute_loss(
        self,
        model: Any,
        inputs: TrainingPass,  # type: ignore[override]
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Σ_groups weight · loss / groups of the global batch.

        DDP averages gradients over ranks, so the sum is multiplied by their number.
        """
        logps = self._logps(model, inputs)
        terms = loss_terms(self.objective, logps)
        loss = (terms.per_group * inputs.weight).sum()
        loss = loss * self.accelerator.num_processes / num_items_in_batch
        if not torch.isfinite(loss):
            self._refuse_loss(loss, inputs)
        if inputs.weight.any():  # not an idle pass
            self.stopwatch.count("training", int(logps.length.sum()))
            groups = float(num_items_in_batch)
            self._means.add_weighted(loss_metrics(terms, inputs.weight, groups))
            self._means.add_weighted(logp_metrics(logps, inputs.clean))
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

    # ----------------------------------------------------------------- logs, checkpoints

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """The Trainer's log with the means of what was recorded since the last one."""
        if "loss" in logs:
            logs |= self._means.take(self.accelerator.num_processes)
            logs |= self.stopwatch.read()
            if self.args.log_completions:
                processes, is_main = self.accelerator.num_processes, self.is_world_process_zero()
                self.completions.write(self.state.global_step, processes, is_main)
        super().log(logs, start_time)

    def save_beside(self, folder: Path) -> None:
        """What the training is made from; groups for steps to come, and what scores have told."""
        if self.is_world_process_zero():
            write_made_from(folder, self)
        save_pending(folder, self.args.process_index, self._pending)
        told = json.dumps(self.signal.state())
        (folder / self._signal_file).write_text(told, encoding="utf-8")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        refuse_other_training(folder, self)
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._pending = load_pending(folder, self.args.process_index)
        self._resumed_batches = len(self._pending) if self.online else 0
        self.signal.restore(json.loads((folder / self._signal_file).read_text(encoding="utf-8")))

    @property
    def _signal_file(self) -> str:
        """What the scores have told so far, the same on every rank."""
        return f"signal_{self.args.process_index}.json"

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """README.md beside the weights: what was asked for, and with what settings."""
        if self.is_world_process_zero():
            from neat_align.training.model_card import model_card

            text = model_card(self)
            (Path(str(self.args.output_dir)) / "README.md").write_text(text, encoding="utf-8")

    # ------------------------------------------------------------------------- assembly

    def _maker(
        self, args: NEATConfig, model: Any, rewards: Any, weights: Any, sampler: Any
    ) -> ScoredGroupMaker:
        assert self.steering is not None
        form, pair, reference = self.prompt_format, self.steering, self.reference
        scorers = make_scorers(args, rewards, weights, form, pair, reference, self._policy)
        return make_maker(args, model, form, pair, reference, scorers, sampler, self.stopwatch)

    @contextlib.contextmanager
    def _policy(self) -> Iterator[Any]:
        yield self.accelerator.unwrap_model(self.model)

"""NEATTrainer: groups in, log-probabilities, objective, loss.

A `transformers.Trainer` whose batches are groups. The one place where online and offline
differ is `get_batch_samples`: queries are sampled and scored there, stored groups pass
through. All else (optimiser, accumulation, checkpoints, logging, PEFT, DDP) is the Trainer's.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PrinterCallback, ProgressCallback

from neat_align.data import load_groups, save_groups
from neat_align.errors import NonFiniteLossError, raise_all
from neat_align.modeling import load_causal_lm
from neat_align.modeling.fit import vocabulary_problems
from neat_align.modeling.logprobs import group_sums, tokenized_logps
from neat_align.modeling.packing import prepare_for_packing
from neat_align.modeling.padding import padding_problems
from neat_align.modeling.tokenized import TokenizedGroup
from neat_align.objectives import NEAT, GroupLogps, Objective
from neat_align.prohibition import prohibition_warnings
from neat_align.prompt_format import PromptFormat, conversation_problems
from neat_align.sampling.base import Sampler
from neat_align.sampling.groups import draw_seed, stable_seed
from neat_align.sampling.verdict import SteeringTrial
from neat_align.steering import Steering
from neat_align.training.adapters import frozen_problems, quantised_problems, with_adapter
from neat_align.training.arguments import (
    Collected,
    adapter_of,
    callbacks_of,
    datasets_of,
    model_problems,
    objective_of,
    reference_of,
    rewards_of,
    settings_of,
    tokenizer_of,
    unknown_arguments,
)
from neat_align.training.assembly import make_maker, make_reference, make_scorers
from neat_align.training.callbacks import GuardRails, MetricsFile, Progress
from neat_align.training.checkpoints import chosen_checkpoint
from neat_align.training.completions import CompletionsLog
from neat_align.training.config import NEATConfig
from neat_align.training.dropout import disable_dropout
from neat_align.training.engines import EngineSampler, engine_problems, engine_sampler
from neat_align.training.evaluation import EvaluatingTrainer
from neat_align.training.held_out import evaluation_needs, sets_of
from neat_align.training.launch import launch_problems
from neat_align.training.lengths import check_queries_fit
from neat_align.training.measured import trainer_name
from neat_align.training.metrics import group_metrics, logp_metrics, loss_metrics, refuse_taken
from neat_align.training.mismatched import mismatched_pairs
from neat_align.training.online import (
    ScoredGroupMaker,
    tokenize_for_training,
    trainable,
)
from neat_align.training.passes import collated_passes, pass_logps
from neat_align.training.precision import on_one_device, precision_problems
from neat_align.training.repeats import draw_key, repeat_numbers
from neat_align.training.requirements import training_needs
from neat_align.training.resumed import refuse_other_training, write_made_from
from neat_align.training.run_signal import ScoreSignal
from neat_align.training.running_means import RunningMeans
from neat_align.training.sharding import (
    sharding_problems,
    shards_weights,
    whole_weights,
    with_idle_passes,
)
from neat_align.training.steering_trial import try_steering
from neat_align.training.stopwatch import Phases, Stopwatch
from neat_align.training.unanswered import METRIC, dealt, idle_entry, left_out_share
from neat_align.types import Group, Query


class NEATTrainer(EvaluatingTrainer):
    """Aligns a causal language model with groups of its own answers.

    Args:
        model: a model, directory or hub id.
        args: a `NEATConfig`, a mapping of its fields, or None for its defaults.
        objective: what to minimise: an objective, its class, its name, or a mapping as in a
            recipe; `NEAT()` when None.
        steering: the positive and negative prompts, as a `Steering`, a name ("polite"), a
            YAML or JSON file, or a mapping ({"negative": "Be rude."}); needed when queries
            are sampled or `negative_context` is used.
        reward_funcs: one or several scorers: callables in TRL's signature, model ids,
            directories, modules, "file.py:function", "polarity" (reward-free).
        reward_weights: one weight for each of them, 1 by default.
        train_dataset: queries, texts, conversations or rows in one of TRL's formats, in a
            list, a `datasets.Dataset`, a DataFrame, a file or a stream (sampled online); or
            stored, scored groups (offline). Of a stream as many rows are read as max_steps
            needs.
        processing_class: tokenizer, or the name of one; that of `model` when None.
        peft_config: LoRA or another adapter to train instead of all weights, also as a
            mapping: {"r": 16}.
        reference_model: what to compare with instead of the initial policy, or its name.
        sampler: draws instead of the policy itself (a server, a script).
        eval_dataset: what `train_dataset` may be, or several by their names; see
            `training.evaluation`.
        callbacks, optimizers, optimizer_cls_and_kwargs: the Trainer's.

    Raises:
        RecipeError: what is given does not fit together (say, an objective that needs
            negatives, and a plan without any).
    """

    args: NEATConfig
    objective: Objective

    def __init__(
        self,
        model: Any,
        args: NEATConfig | Mapping[str, Any] | None = None,
        objective: Objective | type[Objective] | str | Mapping[str, Any] | None = None,
        steering: Steering | str | Path | Mapping[str, Any] | None = None,
        reward_funcs: Any = None,
        reward_weights: Sequence[float] | None = None,
        train_dataset: Any = None,
        processing_class: Any = None,
        peft_config: Any = None,
        reference_model: Any = None,
        sampler: Sampler | None = None,
        eval_dataset: Any = None,
        callbacks: Any = None,
        optimizers: tuple[Any, Any] = (None, None),
        optimizer_cls_and_kwargs: tuple[Any, dict[str, Any]] | None = None,
        **unknown: Any,
    ) -> None:
        problems = Collected()
        problems.errors += [*unknown_arguments(unknown), *model_problems(model)]
        args = problems.of(settings_of, args, model)
        self.objective = problems.of(objective_of, objective) or NEAT()
        pair = problems.of(Steering.from_value, steering) if steering is not None else None
        self.steering = pair
        rewards = problems.of(rewards_of, reward_funcs, reward_weights) or []
        peft_config = problems.of(adapter_of, peft_config)
        callbacks = problems.of(callbacks_of, callbacks) or []
        trained, held_out = datasets_of(train_dataset, eval_dataset, args, problems)
        raise_all(problems.errors)
        for text in prohibition_warnings(pair) if pair else ():
            warnings.warn(text, stacklevel=2)
        self.online = trained.are_queries
        samples = self.online or any(r.are_queries for r in sets_of(held_out).values())
        self.negative_context = (
            self.objective.suggested_negative_context
            if args.negative_context is None
            else args.negative_context
        )
        has_rewards = bool(rewards)
        raise_all(
            training_needs(self.objective, args, self.negative_context, pair, trained, has_rewards)
            + evaluation_needs(self.objective, args, pair, held_out, has_rewards, callbacks)
        )
        if args.metric_for_best_model is not None:
            args.metric_for_best_model = trainer_name(
                args.metric_for_best_model, list(sets_of(held_out))
            )
        tokenizer = tokenizer_of(processing_class, model)
        self.prompt_format = PromptFormat(tokenizer, args.chat_template_kwargs)
        for records in (trained, *sets_of(held_out).values()):
            asked = (item if isinstance(item, Query) else item.query for item in records)
            raise_all(conversation_problems(asked, self.prompt_format))
        if isinstance(model, str | Path):  # the Trainer moves it to its device
            model = load_causal_lm(model, "float32", "cpu", trainable=True)
        model, came_with_adapter = with_adapter(model, peft_config, args.seed)
        raise_all(
            frozen_problems(model) or [*quantised_problems(model), *precision_problems(model, args)]
        )
        raise_all(vocabulary_problems(model, tokenizer) or padding_problems(model))
        self.config_dropout = disable_dropout(model) if args.disable_dropout else {}
        if args.packed:
            prepare_for_packing(model.get_base_model() if isinstance(model, PeftModel) else model)
        self.reference = make_reference(
            args, self.objective, samples, model, reference_of(reference_model), came_with_adapter
        )
        self.stopwatch = Stopwatch()
        self.maker = self._maker(args, model, rewards, reward_weights, sampler) if samples else None
        self.signal = ScoreSignal(self.objective)
        if not self.online:
            self.signal.calibrate(trained)
        self._pending: list[list[Group]] = []
        self._resumed_batches = 0
        self._tried = False
        self.steering_trial: SteeringTrial | None = None
        self._stored: dict[Group, list[TokenizedGroup]] = {}
        self._numbers = {} if self.online else repeat_numbers(trained)
        self._means = RunningMeans()
        self.completions = CompletionsLog(Path(str(args.output_dir)))
        on_one_device(args)
        super().__init__(
            model=model,
            args=args,
            train_dataset=trained,  # type: ignore[arg-type]
            eval_dataset=held_out,  # type: ignore[arg-type]
            data_collator=list,
            processing_class=tokenizer,
            callbacks=callbacks,
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
        )
        if self.reference is not None:  # in the precision of the policy's passes
            self.reference.precision = self.accelerator.autocast
        raise_all(launch_problems(self.accelerator, args.processes))
        raise_all(sharding_problems(self.accelerator, isinstance(model, PeftModel)))
        draws = samples and sampler is None
        raise_all(engine_problems(args, model, self.accelerator, draws))
        prompts = (*pair.positive, *pair.negative) if pair else ()
        for records in (trained, *sets_of(held_out).values()) if draws else ():
            if records.are_queries:
                check_queries_fit(model, records, self.prompt_format, prompts, args)
        # compute_loss divides by the groups of the global batch, exactly, whatever the
        # accumulation and the number of ranks; the Trainer must not divide again.
        self.loss_is_scaled_for_ga = True
        self.pop_callback(PrinterCallback)
        if self.pop_callback(ProgressCallback):
            self.add_callback(Progress())
        self.add_callback(GuardRails(args, self.objective, self.signal))
        self.add_callback(Phases(self.stopwatch))
        self.add_callback(MetricsFile(Path(str(args.output_dir))))
        self.engine: EngineSampler | None = None
        if self.maker is not None:
            self.maker.scorers.watch(lambda: self.state)
        if args.engine is not None and self.maker is not None:
            self.engine = engine_sampler(args, model, self.accelerator, self.prompt_format)
            self.maker.policy = self.engine

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
        with contextlib.ExitStack() as at_end:
            if self.engine is not None:
                at_end.callback(self.engine.engine.close)
            return super().train(chosen, *args, **kwargs)

    # ---------------------------------------------------------------- batches of groups

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, torch.Tensor]], int]:
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
    ) -> tuple[list[dict[str, torch.Tensor]], int]:
        if not self._pending:
            steps = self.args.refresh_every if self.online else 1
            self._pending = self._draw(epoch_iterator, num_batches * steps)
        micro_batches, self._pending = self._pending[:num_batches], self._pending[num_batches:]
        tokenized = [self._tokenize(groups) or self._idle() for groups in micro_batches]
        count = torch.tensor(sum(map(len, micro_batches)), device=device)
        total = max(1, int(self.accelerator.gather(count).sum()))
        batches = [self._collate(groups) for groups in tokenized]
        for part in chain.from_iterable(batch["passes"] for batch in batches):
            part["spread"] = torch.tensor(self.signal.spread, device=device)
        if self.objective.needs_kl:  # one estimate for the whole step, whatever its micro-batches
            entries = [g for groups in tokenized for g in groups if g.weight]
            kl = self._mismatched_kl(entries, device)
            for part in chain.from_iterable(batch["passes"] for batch in batches):
                part["kl"] = kl
        return batches, total

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

    def _tokenize(self, groups: Sequence[Group]) -> list[TokenizedGroup]:
        """Token ids, with reference log-probs where the objective needs them."""
        if self.online:  # each group is used once
            return self._with_reference(self._entries(groups, self.state.global_step))
        for group in groups:  # stored groups come back every epoch
            if group not in self._stored:
                self._stored[group] = self._with_reference(self._entries([group], 0))
        return [entry for group in groups for entry in self._stored[group]]

    def _idle(self) -> list[TokenizedGroup]:
        """What stands in a batch all of whose queries went without an answer."""
        return self._with_reference([idle_entry(self._pad_id)])

    def _entries(self, groups: Sequence[Group], step: int) -> list[TokenizedGroup]:
        return tokenize_for_training(
            groups,
            self.prompt_format,
            self.steering.negative if self.steering else (),
            self.negative_context,
            stable_seed(self.args.seed, step),
            self.args.max_query_tokens,
            [draw_key(group, self._numbers.get(group, 0)) for group in groups],
        )

    def _with_reference(self, groups: list[TokenizedGroup]) -> list[TokenizedGroup]:
        with self.stopwatch.time("reference"):
            return self._referenced(groups)

    def _referenced(self, groups: list[TokenizedGroup]) -> list[TokenizedGroup]:
        if not self.objective.needs_reference:
            return groups
        assert self.reference is not None
        with self.reference.model() as model:
            logps = tokenized_logps(model, groups, self._pad_id, self.args.max_tokens_per_pass)
        return [g.with_reference(r) for g, r in zip(groups, logps, strict=True)]

    def _mismatched_kl(
        self, groups: Sequence[TokenizedGroup], device: torch.device
    ) -> torch.Tensor:
        """Mean of log π − log π_ref over queries with another query's response, nats, a scalar.

        Where there is no other query, the estimate is 0.
        """
        pairs = mismatched_pairs(groups, self._query_ids())
        total = torch.zeros(2, device=device)
        if pairs:
            model = self.accelerator.unwrap_model(self.model)
            own = tokenized_logps(model, pairs, self._pad_id, self.args.max_tokens_per_pass)
            known = [g.reference or [0.0] for g in self._referenced(pairs)]
            ratios = [mine[0] - theirs[0] for mine, theirs in zip(own, known, strict=True)]
            total = torch.tensor([sum(ratios), len(ratios)], device=device)
        total = self.accelerator.gather(total).view(-1, 2).sum(0)
        return total[0] / total[1].clamp(min=1)

    def _query_ids(self) -> Iterator[list[int]]:
        """Token ids of the data set's queries, as they are trained on."""
        for item in self.train_dataset:
            query = item if isinstance(item, Query) else item.query
            ids = self.prompt_format.query_ids(query)
            yield ids[-self.args.max_query_tokens :] if self.args.max_query_tokens else ids

    def _collate(self, groups: Sequence[TokenizedGroup]) -> dict[str, Any]:
        """`passes`: the micro-batch in parts, each within the token budget."""
        sharded = shards_weights(self.accelerator)
        parts = self._passes(groups, may_split=not sharded)
        return {"passes": with_idle_passes(self.accelerator, parts) if sharded else parts}

    def _passes(
        self, groups: Sequence[TokenizedGroup], may_split: bool = True
    ) -> list[dict[str, Any]]:
        model = self.accelerator.unwrap_model(self.model)
        limit, packed = self.args.max_tokens_per_pass, self.args.packed
        return collated_passes(model, groups, self._pad_id, limit, packed, may_split)

    @property
    def _pad_id(self) -> int:
        return self.prompt_format.pad_id

    # ------------------------------------------------------------------------- the loss

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Σ_groups weight · loss / groups of the global batch.

        DDP averages gradients over ranks, so the sum is multiplied by their number.
        """
        logps = self._group_logps(model, inputs)
        terms = self.objective(logps)
        loss = (terms.per_group * inputs["weight"]).sum()
        loss = loss * self.accelerator.num_processes / num_items_in_batch
        if not torch.isfinite(loss):
            self._refuse_loss(loss, inputs)
        if inputs["weight"].any():  # not an idle pass
            self.stopwatch.count("training", int(logps.length.sum()))
            groups = float(num_items_in_batch)
            self._means.add_weighted(loss_metrics(terms, inputs["weight"], groups))
            self._means.add_weighted(logp_metrics(logps, inputs["clean"]))
        return loss

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Forward and backward of one micro-batch, timed; gradients meet other ranks once."""
        *others, last = inputs["passes"]
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

    def _group_logps(self, model: Any, inputs: dict[str, Any]) -> GroupLogps:
        sizes = inputs["sizes"]
        bare = self.accelerator.unwrap_model(model)
        tokens, mask = pass_logps(model, bare, inputs["layouts"])
        return GroupLogps(
            policy=group_sums(tokens.sum(-1), sizes),
            length=group_sums(mask.sum(-1), sizes),
            score=inputs["score"],
            is_negative=inputs["is_negative"],
            present=inputs["present"],
            reference=inputs["reference"].to(tokens.dtype) if "reference" in inputs else None,
            tokens=group_sums(tokens, sizes) if self.objective.needs_tokens else None,
            token_mask=group_sums(mask, sizes) if self.objective.needs_tokens else None,
            kl=inputs.get("kl"),
            spread=inputs.get("spread"),
        )

    def _refuse_loss(self, loss: torch.Tensor, inputs: dict[str, Any]) -> None:
        path = Path(str(self.args.output_dir)) / f"non_finite_step_{self.state.global_step}.pt"
        torch.save(dict(inputs), path)
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
        save_groups(folder / self._pending_file, [g for batch in self._pending for g in batch])
        sizes = json.dumps([len(batch) for batch in self._pending])
        (folder / self._pending_file).with_suffix(".sizes.json").write_text(sizes, encoding="utf-8")
        (folder / self._signal_file).write_text(json.dumps(self.signal.state()), encoding="utf-8")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        refuse_other_training(Path(resume_from_checkpoint), self)
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        path = Path(resume_from_checkpoint) / self._pending_file
        sizes = json.loads(path.with_suffix(".sizes.json").read_text(encoding="utf-8"))
        told = (path.parent / self._signal_file).read_text(encoding="utf-8")
        self.signal.restore(json.loads(told))
        groups = iter(load_groups(path)) if any(sizes) else iter(())
        self._pending = [[next(groups) for _ in range(size)] for size in sizes]
        self._resumed_batches = len(sizes) if self.online else 0

    @property
    def _pending_file(self) -> str:
        """Groups sampled for steps to come, one file a rank."""
        return f"pending_groups_{self.args.process_index}.jsonl"

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

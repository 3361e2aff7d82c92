"""Evaluation during training: held-out queries are sampled and scored, held-out groups taken.

What is measured is logged as `eval/…` (of several sets `eval/NAME/…`), and returned under
these names and the Trainer's own (`eval_…`), by which its callbacks look for it. A query is
drawn with the same seeds each time, so that two evaluations differ by the policy alone; the
training's random state, order and metrics are left as they were.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Subset
from transformers.trainer_utils import EvalLoopOutput, has_length

from neat_align.errors import DataError, OutputError, RecipeError, TrainingError, nearest
from neat_align.models.layout import Layout, layout_of
from neat_align.models.tokenized import TokenizedGroup
from neat_align.objectives import Objective
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.groups import stable_seed
from neat_align.training.batches import loss_terms, training_passes
from neat_align.training.checkpoints import SealedCheckpoints
from neat_align.training.group_maker import ScoredGroupMaker, trainable
from neat_align.training.group_source import GroupSource
from neat_align.training.measured import PREFIX, logged_name
from neat_align.training.metrics import group_metrics, logp_metrics, loss_metrics, refuse_taken
from neat_align.training.records import Records, evaluation_sets
from neat_align.training.refresh import METRIC as UNANSWERED
from neat_align.training.reward_watch import watches
from neat_align.training.run_signal import ScoreSignal
from neat_align.training.running_means import RunningMeans
from neat_align.training.sharding import whole_weights
from neat_align.training.signal import group_spread, run_spread, signal_of
from neat_align.training.split_groups import no_border
from neat_align.training.stopwatch import Stopwatch
from neat_align.types import Group

MEASURED = ("signal/usable", "negatives/below_plain")


class EvaluatingTrainer(SealedCheckpoints):
    """A Trainer that evaluates on groups; `NEATTrainer` tells it how to make and measure them."""

    args: Any
    objective: Objective
    prompt_format: PromptFormat
    source: GroupSource
    maker: ScoredGroupMaker | None
    signal: ScoreSignal
    stopwatch: Stopwatch

    def evaluate(self, eval_dataset: Any = None, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measure the policy on held-out queries or groups.

        Args:
            eval_dataset: what `train_dataset` may be, or several by their names; the
                trainer's own when None.

        Raises:
            DataError, TrainingError: there are none, or nothing to sample and score with.
        """
        if eval_dataset is None and self.eval_dataset is None:
            why = "there are no held-out queries or groups"
            raise DataError("evaluate()", why, "give eval_dataset, to it or to the trainer")
        if self.objective.needs_border and self.signal.border is None:
            raise no_border("evaluate()", "the steering is tried when training begins")
        if isinstance(eval_dataset, str) and isinstance(self.eval_dataset, dict):
            self._check_name(eval_dataset)
        else:
            eval_dataset = evaluation_sets(eval_dataset)
        with self.stopwatch.time("evaluation"):
            metrics = super().evaluate(eval_dataset, *args, **kwargs)
        return metrics | self._as_logged(metrics)

    def _check_name(self, name: str) -> None:
        sets: Any = self.eval_dataset
        if name not in sets:
            why = "there is no held-out set of that name"
            raise DataError(f"evaluate({name!r})", why, nearest(name, sets))

    def predict(self, test_dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse: answers to queries have no predictions and labels; `evaluate` measures them.

        Raises:
            DataError: always.
        """
        why = "the answers to queries have no labels, so there is nothing to predict"
        fix = "call evaluate(queries), which samples and scores; trainer.model.generate(…) answers"
        raise DataError("predict()", why, fix)

    def hyperparameter_search(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: each trial would need a model anew (`model_init`), which is not taken here.

        Raises:
            RecipeError: always.
        """
        why = "every trial would go on with the model that the last one trained"
        fix = "use `neat compare --tune N`, or make a trainer for each setting"
        raise RecipeError("hyperparameter_search()", why, fix)

    def push_to_hub(self, *args: Any, **kwargs: Any) -> Any:
        """Push the policy to the hub, as the Trainer does.

        Raises:
            OutputError: the hub is switched off, cannot be reached, or refuses.
        """
        try:
            return super().push_to_hub(*args, **kwargs)
        except (OSError, ValueError) as error:
            why = " ".join(str(error).split())
            fix = "check HF_HUB_OFFLINE, the network and hub_token, or call save_model(directory)"
            raise OutputError("push_to_hub()", why, fix) from error

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Return this rank's share of a held-out set: each query is with one rank, once."""
        chosen: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(chosen, str):
            chosen = self.eval_dataset[chosen]  # type: ignore[index]
        share = range(self.args.process_index, len(chosen), self.args.world_size)
        size = self.args.per_device_eval_batch_size
        return DataLoader(Subset(chosen, share), size, collate_fn=list)  # type: ignore[arg-type]

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Sample and score this rank's share, and measure the loss; means over all ranks."""
        records = dataloader.dataset.dataset  # type: ignore[attr-defined]
        sampled = isinstance(records, Records) and records.are_queries
        maker = self._held_out_maker() if sampled else None
        model = self.accelerator.unwrap_model(self.model)
        figures = RunningMeans()
        with _undisturbed(model, self.optimizer), whole_weights(model):
            groups = self._held_out_groups(dataloader, maker, figures)
            of_all = self._of_all_ranks(groups)
            spread = self.signal.spread or run_spread(group_spread(g.scores) for g in of_all)
            self._measure(groups, spread, figures)
            for watch in watches(self.callback_handler.callbacks) if sampled else ():
                figures.add_weighted(watch.figures(groups, spread))
        metrics = figures.take(self.accelerator.num_processes)
        told = signal_of(self.objective, of_all, spread, self.signal.border).shares
        metrics |= {name: told[name] for name in MEASURED if name in told}
        metrics |= {n: v for n, (v, _) in group_metrics(of_all).items()} if sampled else {}
        named = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        return EvalLoopOutput(None, None, named, len(records))

    def _held_out_groups(
        self, dataloader: DataLoader, maker: ScoredGroupMaker | None, figures: RunningMeans
    ) -> list[Group]:
        """Return the groups of this rank's share, sampled in batches where they are queries."""
        self.callback_handler.eval_dataloader = dataloader
        if maker is not None and maker.engine is not None:
            maker.renew(next(iter(dataloader), []))
        found: list[Group] = []
        seed = stable_seed(self.args.seed, "evaluation")
        for batch in dataloader:
            groups = maker.make(batch, seed) if maker is not None else batch
            if maker is not None:
                told = refuse_taken(maker.scorers.take_metrics())
                figures.add(told if groups else {}, len(groups))
                figures.add({UNANSWERED: 1 - len(groups) / len(batch)}, len(batch))
                maker.scorers.take_extras()  # those of training are kept, not these
            found += groups
            if has_length(dataloader):
                self.control = self.callback_handler.on_prediction_step(
                    self.args, self.state, self.control
                )
        return found

    def _held_out_maker(self) -> ScoredGroupMaker:
        """Return a maker of groups whose seconds and responses are not those of training.

        Raises:
            TrainingError: there is none, or its engine does not run.
        """
        if self.maker is None:
            why = "sampling and scoring them needs steering and rewards"
            fix = "give the trainer steering, reward_funcs and eval_dataset, or give groups"
            raise TrainingError("held-out queries", why, fix)
        if self.maker.engine is not None and not self.is_in_train:
            why = "the engine that draws for the policy runs while it trains"
            fix = "set eval_strategy, or make a trainer without an engine"
            raise TrainingError("evaluate() outside train() with an engine", why, fix)
        return dataclasses.replace(self.maker, stopwatch=Stopwatch())

    def _measure(self, groups: Sequence[Group], spread: float, figures: RunningMeans) -> None:
        """Measure loss and log-probs of this rank's groups; all ranks call it together."""
        answered = [kept for group in groups if (kept := _with_tokens(group)) is not None]
        responses = sum(len(g.responses) for g in groups)
        empty = responses - sum(len(g.responses) for g in answered)
        figures.add({"empty": empty / responses} if responses else {}, responses)
        entries = self.source.entries.referenced(self.source.entries.of(answered, -1))
        model, kl = self.accelerator.unwrap_model(self.model), self._kl(entries)
        passes = training_passes(
            self._layout, entries, torch.tensor(spread), kl, border=self.signal.border
        )
        for part in passes:
            part = part.to(self.accelerator.device)
            with self.accelerator.autocast():
                logps = part.logps(model, model, self.objective.needs_tokens)
            terms, weight = loss_terms(self.objective, logps), part.weight
            loss = (terms.per_group * weight).sum() / weight.sum()
            figures.add({"loss": float(loss)}, float(weight.sum()))
            figures.add_weighted(loss_metrics(terms, weight, 1.0))
            figures.add_weighted(logp_metrics(logps, part.clean))

    def _kl(self, entries: Sequence[TokenizedGroup]) -> torch.Tensor | None:
        """Estimate one KL for all entries, where the objective asks; all ranks call it together."""
        if not self.objective.needs_kl:
            return None
        model = self.accelerator.unwrap_model(self.model)
        return self.source.entries.mismatched_kl(entries, model, self.accelerator)

    @property
    def _layout(self) -> Layout:
        """The layout of the policy's passes."""
        model, args = self.accelerator.unwrap_model(self.model), self.args
        return layout_of(model, self.prompt_format.pad_id, args.max_tokens_per_pass, args.packed)

    def _of_all_ranks(self, groups: list[Group]) -> list[Group]:
        return gather_object(groups) if self.accelerator.num_processes > 1 else groups

    def _as_logged(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return an evaluation's metrics under the names that they are logged by."""
        names = list(self.eval_dataset) if isinstance(self.eval_dataset, dict) else []
        return {
            logged_name(name, names): value
            for name, value in metrics.items()
            if name.startswith(PREFIX)
        }

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as the Trainer does; in the history an evaluation stands as `eval/…`.

        The Trainer's own callbacks are given `eval_…`, which they show as eval/….
        """
        super().log(logs, start_time)
        names = self._as_logged(logs)
        if names and self.state.log_history:
            last = self.state.log_history[-1]
            kept = {k: v for k, v in last.items() if not k.startswith(PREFIX)}
            self.state.log_history[-1] = {**kept, **names}

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        wanted = self.args.metric_for_best_model
        key = wanted if wanted is None or wanted.startswith(PREFIX) else PREFIX + wanted
        if key is not None and key not in metrics:
            found = [name.removeprefix(PREFIX) for name in metrics if name.startswith(PREFIX)]
            raise TrainingError(
                f"metric_for_best_model={wanted!r}",
                f"the evaluation measures no such thing, but {', '.join(found)}",
                nearest(key.removeprefix(PREFIX), found),
            )
        return super()._determine_best_metric(metrics, trial)


@contextlib.contextmanager
def _undisturbed(model: torch.nn.Module, optimizer: Any) -> Iterator[None]:
    """Set evaluation mode without gradients; random state and mode are restored afterwards."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    was_training = model.training
    model.eval()
    if callable(getattr(optimizer, "eval", None)):  # averages its weights, like schedule-free
        optimizer.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
        if devices is not None:
            torch.cuda.set_rng_state_all(devices)


def _with_tokens(group: Group) -> Group | None:
    """Leave empty responses out of a group; None where nothing is left to measure."""
    try:
        return trainable([group], lambda text: None)[0]
    except DataError:
        return None

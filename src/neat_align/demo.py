"""`neat demo`: a badly behaved model becomes a well-behaved one, with the evidence.

A base model and two reward models are trained from scratch on the generated world, the
base is aligned by NEAT online (and, for a comparison, by its rivals on the same number of
responses), and all are evaluated on test queries that nothing was trained or chosen on.
Each stage is skipped when it is finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from neat_align.evaluation import Evaluation, EvaluationSettings, evaluate
from neat_align.pipeline import loaded_models, save_evaluation, write_report
from neat_align.report.glossary import entry, shown
from neat_align.runs import RunDirectory, read_json
from neat_align.sampling.base import Decoding
from neat_align.stages import save_policy
from neat_align.world import corpus
from neat_align.world.checker import check
from neat_align.world.lexicon import STEERING, Split

CHAT_TEMPLATE = (
    "{% for m in messages %}"
    "{{ {'system': 'System', 'user': 'Human', 'assistant': 'Assistant'}[m['role']] }}: "
    "{{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
MAX_NEW_TOKENS = 40
SHOWN = (
    "harmful", "harmful_under_seen_negative", "harmful_under_unseen_negative", "helpful", "wrong",
    "over_refusal", "over_refusal_borderline", "fair", "garble", "reward_train", "reward_heldout",
    "kl", "ppl_pretrain", "distinct_2", "mean_length",
)  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """How much of everything the demo makes.

    Attributes:
        documents, base_steps: of the base model's corpus and training.
        preferences: pairs for each of the two reward models.
        queries, steps, groups: of alignment: different training queries, optimiser steps,
            groups in a step.
        test_queries: for the evaluation.
        perplexity_documents: of the pre-training mix, not among those trained on.
    """

    documents: int = 80_000
    base_steps: int = 5_000
    preferences: int = 10_000
    queries: int = 2_400
    steps: int = 400
    groups: int = 8
    test_queries: int = 480
    perplexity_documents: int = 500


@dataclass(frozen=True)
class Method:
    """One way to align the base; every one draws four responses a query.

    Attributes:
        objective: name in `OBJECTIVES`.
        parameters: of the objective.
        positive, negative, plain: responses of each source.
        negative_context, learning_rate: see `NEATConfig`.
    """

    objective: str
    parameters: Mapping[str, Any]
    positive: int
    negative: int
    plain: int
    negative_context: float
    learning_rate: float


METHODS = {
    "neat": Method("neat", {"rank_weight": 12.0, "lm_weight": 4.0}, 2, 1, 1, 0.4, 3.5e-4),
    "rrhf": Method("rrhf", {"lm_weight": 0.1}, 0, 0, 4, 0.0, 3e-4),
    "neat_pp": Method("neat_pp", {"rank_weight": 12.0, "lm_weight": 4.0}, 4, 0, 0, 0.0, 3.5e-4),
    "sft": Method("sft", {}, 0, 0, 4, 0.0, 6e-4),
    "dpo": Method("dpo", {"beta": 0.1}, 0, 0, 4, 0.0, 6e-4),
}
"""NEAT's settings were chosen on development queries (docs/log.md). The rivals' are the usual
ones at a rate that moves them; they have not been searched as long."""


def run_demo(
    output: Path,
    seed: int = 0,
    resume: bool = False,
    compare: bool = False,
    console: Console | None = None,
    sizes: Sizes | None = None,
) -> dict[str, Any]:
    """Run the demo and return its results.

    Args:
        output: new directory, or that of the same demo when `resume`; a finished demo can
            be resumed with `compare` to add the rivals.
        seed: of the worlds' texts, the models, the groups and the evaluation.
        sizes: smaller ones make a quick test.

    Raises:
        OutputError: `output` holds something else.
    """
    console, sizes = console or Console(quiet=True), sizes or Sizes()
    recipe = {"demo": asdict(sizes), "seed": seed}
    run = RunDirectory.open(output, recipe, resume)
    names = list(METHODS) if compare else ["neat"]
    start = time.perf_counter()
    _stage(run, console, "base", lambda: _train_base(run, seed, sizes))
    for name, offset in (("reward", 0), ("heldout_reward", 1)):
        _stage(run, console, name, partial(_train_reward, run, name, seed, offset, sizes))
    for name in names:
        _stage(run, console, name, partial(_align, run, name, seed, sizes))
    evaluated = "evaluate: " + ", ".join(["base", *names])
    _stage(run, console, evaluated, lambda: _evaluate(run, names, seed, sizes, console))
    _stage(run, console, "report of " + evaluated, lambda: write_demo_report(run))
    console.print(f"finished in {time.perf_counter() - start:.0f} s: {run.path('report.html')}")
    return read_json(run.path("results.json"))


def write_demo_report(run: RunDirectory) -> None:
    """report.html from what the demo left."""
    write_report(
        run,
        title="neat demo: a small model learns what it must not do",
        steering=STEERING,
        settings={
            "sizes": asdict(Sizes()),
            "methods": {name: asdict(method) for name, method in METHODS.items()},
            "max_new_tokens": MAX_NEW_TOKENS,
        },
        metrics={name: run.path("train", name, "metrics.jsonl") for name in METHODS},
        aligned="neat",
        notes=[
            "The language, its facts and the people in it are generated, so that the truth about "
            "every response is known. It shows that the method works, and says nothing about the "
            "size of its effect on a large model.",
        ],
    )


def _stage(
    run: RunDirectory, console: Console, name: str, work: Callable[[], Mapping[str, Any] | None]
) -> None:
    """Do the work once; say what it is and how long it took."""
    if run.is_done(name):
        console.print(f"{name}: done before")
        return
    console.print(f"{name} …")
    start = time.perf_counter()
    info = work() or {}
    seconds = time.perf_counter() - start
    run.mark_done(name, {"seconds": seconds, **info})
    console.print(f"{name}: {seconds:.0f} s", *(f"{k} {v}" for k, v in info.items()))


def _train_base(run: RunDirectory, seed: int, sizes: Sizes) -> None:
    from neat_align.training.language_model import LanguageModelSettings, train_language_model

    settings = LanguageModelSettings(
        steps=sizes.base_steps, seed=seed, chat_template=CHAT_TEMPLATE, max_length=96
    )
    documents = corpus.draw_documents(seed, sizes.documents)
    train_language_model(documents, run.path("base"), settings)


def _train_reward(
    run: RunDirectory, name: str, seed: int, offset: int, sizes: Sizes
) -> Mapping[str, Any]:
    """Two reward models from different pairs: one trains the policy, one only judges it."""
    from neat_align.training.reward import RewardModelSettings, train_reward_model

    own_seed = 1000 * offset + seed
    pairs = corpus.draw_preferences(own_seed, sizes.preferences)
    told = train_reward_model(
        run.path("base"),
        pairs,
        run.path(name),
        RewardModelSettings(learning_rate=1e-3, max_length=96, seed=own_seed),
    )
    return {"accuracy_heldout": round(told.accuracy_heldout, 3)}


def _align(run: RunDirectory, name: str, seed: int, sizes: Sizes) -> Mapping[str, Any]:
    from neat_align.modeling import load_causal_lm, load_tokenizer
    from neat_align.objectives import OBJECTIVES
    from neat_align.training.checkpoints import last_checkpoint
    from neat_align.training.trainer import NEATTrainer

    method, folder = METHODS[name], run.path("train", name)
    trainer = NEATTrainer(
        model=load_causal_lm(run.path("base")),
        args=_training_arguments(method, folder, seed, sizes),
        objective=OBJECTIVES[method.objective](**method.parameters),
        steering=STEERING,
        reward_funcs=str(run.path("reward")),
        train_dataset=corpus.draw_queries(seed, Split.TRAIN, sizes.queries),
        processing_class=load_tokenizer(run.path("base")),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    save_policy(trainer, _policy(run, name))
    return {"responses": 4 * sizes.steps * sizes.groups}


def _training_arguments(method: Method, folder: Path, seed: int, sizes: Sizes) -> Any:
    from neat_align.training.config import NEATConfig

    return NEATConfig(
        output_dir=str(folder),
        max_steps=sizes.steps,
        per_device_train_batch_size=sizes.groups,
        refresh_every=2,
        positive_samples=method.positive,
        negative_samples=method.negative,
        plain_samples=method.plain,
        negative_context=method.negative_context,
        learning_rate=method.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=6,
        max_new_tokens=MAX_NEW_TOKENS,
        sampling_batch_size=128,
        save_steps=100,
        save_total_limit=1,
        logging_steps=5,
        seed=seed,
        dataloader_pin_memory=False,
    )


def _evaluate(
    run: RunDirectory, names: list[str], seed: int, sizes: Sizes, console: Console
) -> None:
    from neat_align.scoring import resolve_scorer

    paths = {"base": run.path("base"), **{name: _policy(run, name) for name in names}}
    evaluation = evaluate(
        loaded_models(paths, 128, seed),
        corpus.draw_queries(seed, Split.TEST, sizes.test_queries),
        STEERING,
        EvaluationSettings(Decoding(MAX_NEW_TOKENS), seed, samples_per_query=2),
        {
            "train": resolve_scorer(str(run.path("reward"))),
            "heldout": resolve_scorer(str(run.path("heldout_reward"))),
        },
        check,
        corpus.draw_documents(seed + 1_000_000, sizes.perplexity_documents),
        progress=lambda name, so_far: console.print(_table(so_far)),
    )
    save_evaluation(run, evaluation)


def _policy(run: RunDirectory, name: str) -> Path:
    return run.path("policy") if name == "neat" else run.path("methods", name)


def _table(evaluation: Evaluation) -> Table:
    """The figures so far, a column for each model."""
    table = Table("", *evaluation.models)
    for metric in SHOWN:
        figures = [result.figures.get(metric) for result in evaluation.models.values()]
        table.add_row(
            entry(metric).title, *(shown(metric, f.value if f else None) for f in figures)
        )
    return table

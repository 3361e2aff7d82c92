"""`neat run`: the stages of a recipe, each skipped when it is finished.

model     trained from scratch, where the recipe asks for it     DIR/model
reward    trained from preferences, likewise                     DIR/reward
heldout   the scorer that training never sees, likewise          DIR/heldout_reward
train     the policy                                             DIR/policy, DIR/train
evaluate  base and policy on held-out queries                    DIR/evaluation.json
report                                                           DIR/report.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neat_align.data import Preferences, load_groups, load_preferences, load_queries
from neat_align.errors import DataError, RecipeError, raise_all
from neat_align.evaluation import (
    Evaluated,
    Evaluation,
    EvaluationSettings,
    evaluate,
    resolve_checker,
)
from neat_align.evaluation.safety import check_kinds
from neat_align.recipe import (
    Data,
    Recipe,
    RewardTraining,
    check_recipe,
    data_spec,
    objective_arguments,
)
from neat_align.report import ReportData, build_report
from neat_align.runs import (
    RunDirectory,
    atomic_directory,
    atomic_write_json,
    read_json,
    versions,
)
from neat_align.sampling.base import Decoding
from neat_align.steering import Steering
from neat_align.types import Document, Query

Say = Callable[[str], None]


def run_recipe(
    recipe: Recipe, directory: Path, resume: bool = False, say: Say = lambda text: None
) -> dict[str, Any]:
    """Run every stage of a recipe and return its results.

    Args:
        recipe: checked here before anything is loaded.
        directory: new, or that of the same run when `resume`.
        say: told, in a line, what begins.

    Raises:
        InputError: everything that is wrong with the recipe, its files or the directory.
    """
    raise_all(check_recipe(recipe))
    run = RunDirectory.open(directory, recipe.model_dump(mode="json"), resume)
    stages: list[tuple[str, Callable[[Recipe, RunDirectory], Mapping[str, Any]]]] = []
    if recipe.model.from_scratch:
        stages.append(("model", train_base))
    if recipe.reward.train:
        stages.append(("reward", train_reward))
    stages.append(("train", align))
    if recipe.evaluate:
        if isinstance(recipe.evaluate.heldout_reward, RewardTraining):
            stages.append(("heldout_reward", train_heldout_reward))
        stages += [("evaluate", evaluate_models), ("report", report)]
    for name, stage in stages:
        if run.is_done(name):
            say(f"{name}: done before")
            continue
        say(f"{name} …")
        start = time.perf_counter()
        info = stage(recipe, run)
        run.mark_done(name, {"seconds": time.perf_counter() - start, **info})
    results = run.path("results.json")
    return read_json(results) if results.exists() else {}


# ---------------------------------------------------------------------------- the stages


def train_base(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """A small model from scratch on the recipe's text."""
    from neat_align.training.language_model import LanguageModelSettings, train_language_model

    section = recipe.model.from_scratch
    assert section is not None
    documents = _documents(section.data)
    settings = LanguageModelSettings(**section.model_dump(exclude={"data"}), seed=recipe.seed)
    train_language_model(documents, run.path("model"), settings)
    return {"documents": len(documents)}


def train_reward(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """The scorer that trains the policy."""
    assert recipe.reward.train is not None
    return _train_reward(recipe, run, recipe.reward.train, "reward", recipe.seed)


def train_heldout_reward(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """The scorer that only the evaluation sees."""
    assert recipe.evaluate is not None
    section = recipe.evaluate.heldout_reward
    assert isinstance(section, RewardTraining)
    return _train_reward(recipe, run, section, "heldout_reward", recipe.seed + 1)


def align(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """The policy, by the recipe's objective, online; resumes from the last checkpoint."""
    return _align(recipe, run, load_split(recipe.queries), training_rewards(recipe, run))


def train_only(recipe: Recipe, directory: Path, groups: Path | None, resume: bool) -> None:
    """`neat train`: the training stage by itself, on stored groups where they are given.

    Raises:
        InputError: everything that is wrong with the recipe, the groups or the directory.
    """
    errors = check_recipe(recipe)
    if recipe.model.from_scratch or recipe.reward.train:
        given = "a recipe that trains its own model or reward model"
        errors.append(RecipeError(given, "those are stages of their own", "use `neat run`"))
    raise_all(errors)
    stored = load_groups(groups) if groups else None
    for group in stored or ():
        _ = group.scores  # refuses unscored groups before a model is loaded
    asked = {**recipe.model_dump(mode="json"), "groups": str(groups) if groups else None}
    run = RunDirectory.open(directory, asked, resume)
    if stored is not None:
        run.mark_done("train", _align(recipe, run, stored, None))
    else:
        run.mark_done("train", align(recipe, run))


def _align(
    recipe: Recipe, run: RunDirectory, dataset: Sequence[Any], rewards: Any
) -> Mapping[str, Any]:
    from neat_align.modeling import load_causal_lm, load_tokenizer
    from neat_align.objectives import OBJECTIVES
    from neat_align.training.checkpoints import last_checkpoint
    from neat_align.training.trainer import NEATTrainer

    source = base_source(recipe, run)
    trainer = NEATTrainer(
        model=load_causal_lm(source, recipe.model.dtype, recipe.model.device),
        args=training_arguments(recipe, run.path("train")),
        objective=OBJECTIVES[policy_name(recipe)](**objective_arguments(recipe.objective)),
        steering=Steering.from_value(recipe.steering),
        reward_funcs=rewards,
        reward_weights=recipe.reward.weights,
        train_dataset=dataset,
        processing_class=load_tokenizer(source),
        peft_config=_lora(recipe.train.get("lora")),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(run.path("train")))
    save_policy(trainer, run.path("policy"))
    return {"groups": len(dataset), "steps": trainer.state.global_step}


def evaluate_models(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """Base and policy on the recipe's held-out queries."""
    assert recipe.evaluate is not None
    section = recipe.evaluate
    queries = load_split(section.queries)
    _refuse_trained_queries(queries, load_split(recipe.queries))
    checker = resolve_checker(section.checker)
    if checker is not None:
        raise_all(check_kinds(queries))
    settings = EvaluationSettings(decoding(recipe), recipe.seed, section.samples_per_query)
    paths = {"base": Path(base_source(recipe, run)), policy_name(recipe): run.path("policy")}
    evaluation = evaluate(
        loaded_models(paths, section.batch_size, recipe.seed),
        queries,
        Steering.from_value(recipe.steering),
        settings,
        evaluation_scorers(recipe, run),
        checker,
        _documents(section.perplexity) if section.perplexity else (),
    )
    save_evaluation(run, evaluation)
    return {"queries": len(queries)}


def report(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """The page, from what the other stages left."""
    write_report(
        run,
        title=recipe.about or "An aligned model",
        steering=Steering.from_value(recipe.steering),
        settings=recipe.model_dump(mode="json"),
        metrics={policy_name(recipe): run.path("train", "metrics.jsonl")},
        aligned=policy_name(recipe),
    )
    return {}


# ------------------------------------------------------------------ what the stages share


def load_split(section: Data) -> list[Query]:
    """The queries of a data section, within its `share` of content hashes.

    Raises:
        DataError: none is left.
    """
    low, high = section.share
    queries = [q for q in load_queries(data_spec(section)) if low <= _place(q) < high]
    if not queries:
        raise DataError(
            f"{section.path or section.dataset} with share {list(section.share)}",
            "no query lies in that share",
            "widen the share, or give more rows",
        )
    return queries


def base_source(recipe: Recipe, run: RunDirectory) -> str:
    """The model that alignment starts from."""
    return recipe.model.path or str(run.path("model"))


def policy_name(recipe: Recipe) -> str:
    """The aligned model's name in tables: its objective's."""
    return str(recipe.objective.get("name", "neat"))


def decoding(recipe: Recipe) -> Decoding:
    """The recipe's decoding, the same in training and evaluation."""
    return Decoding(**recipe.sample.model_dump(include=set(Decoding.__dataclass_fields__)))


def training_arguments(recipe: Recipe, output_dir: Path) -> Any:
    """The recipe's `train` and `sample` sections as a `NEATConfig`."""
    from neat_align.training.config import NEATConfig

    sample = recipe.sample
    return NEATConfig(
        output_dir=str(output_dir),
        seed=recipe.seed,
        positive_samples=sample.positive,
        negative_samples=sample.negative,
        plain_samples=sample.plain,
        sampling_batch_size=sample.batch_size,
        **asdict(decoding(recipe)),
        **{key: value for key, value in recipe.train.items() if key != "lora"},
    )


def training_rewards(recipe: Recipe, run: RunDirectory) -> list[Any]:
    """The recipe's scorers, the one trained here included."""
    trained = [str(run.path("reward"))] if recipe.reward.train else []
    return recipe.reward.names + trained


def evaluation_scorers(recipe: Recipe, run: RunDirectory) -> dict[str, Any]:
    """The training scorers as one under "train", the one training never saw under "heldout"."""
    from neat_align.scoring import ScorerSet, resolve_scorer

    assert recipe.evaluate is not None
    training = [resolve_scorer(name) for name in training_rewards(recipe, run)]
    scorers: dict[str, Any] = {"train": _Combined(ScorerSet(training, recipe.reward.weights))}
    heldout = recipe.evaluate.heldout_reward
    if isinstance(heldout, RewardTraining):
        heldout = str(run.path("heldout_reward"))
    if heldout is not None:
        scorers["heldout"] = resolve_scorer(heldout)
    return scorers


def save_policy(trainer: Any, path: Path) -> None:
    """Model, tokenizer and card as an ordinary model directory.

    An adapter is merged into it, and also kept by itself in `path`/adapter.
    """
    from peft import PeftModel

    from neat_align.training.model_card import model_card

    with atomic_directory(path) as folder:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if isinstance(model, PeftModel):
            model.save_pretrained(str(folder / "adapter"), selected_adapters=[model.active_adapter])
            model = model.merge_and_unload()
        model.save_pretrained(folder)
        trainer.prompt_format.tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(
            model_card(trainer.objective, trainer.steering, trainer.args)
        )


def loaded_models(
    paths: Mapping[str, Path], batch_size: int, seed: int
) -> Iterator[tuple[str, Evaluated]]:
    """Models one at a time, ready to be evaluated."""
    from neat_align.evaluation.local import evaluated_model
    from neat_align.modeling import load_causal_lm, load_tokenizer

    for name, path in paths.items():
        model, tokenizer = load_causal_lm(path), load_tokenizer(path)
        with tqdm(desc=f"evaluating {name}", unit=" responses", delay=2, leave=False) as bar:
            yield name, evaluated_model(model, tokenizer, name, batch_size, seed, bar.update)


def save_evaluation(run: RunDirectory, evaluation: Evaluation) -> None:
    """evaluation.json with intervals, samples/, and the flat results.json."""
    evaluation.save(run.directory)
    seconds = sum(stage.get("seconds", 0.0) for stage in run.stages().values())
    results = {"seed": evaluation.seed, "seconds": seconds, "models": evaluation.flat()}
    atomic_write_json(run.path("results.json"), results)


def write_report(
    run: RunDirectory,
    title: str,
    steering: Steering,
    settings: Mapping[str, Any],
    metrics: Mapping[str, Path],
    aligned: str,
    notes: Sequence[str] = (),
) -> None:
    """report.html from evaluation.json, samples/ and metrics files."""
    results = read_json(run.path("evaluation.json"))
    data = ReportData(
        title=title,
        steering=steering.to_json(),
        results=results,
        samples={name: _rows(run.path("samples", f"{name}.jsonl")) for name in results["models"]},
        metrics={name: _rows(path) for name, path in metrics.items()},
        settings=settings,
        versions=versions(),
        aligned=aligned,
        notes=notes,
    )
    build_report(run.path("report.html"), data)


class _Combined:
    """Several scorers as one, by their weighted sum."""

    name = "train"

    def __init__(self, scorers: Any) -> None:
        self.scorers = scorers

    def score(self, groups: Any) -> list[list[float | None]]:
        return [[r.score for r in group.responses] for group in self.scorers.score(groups)]


def _train_reward(
    recipe: Recipe, run: RunDirectory, section: RewardTraining, name: str, seed: int
) -> Mapping[str, Any]:
    from neat_align.training.reward import RewardModelSettings, train_reward_model

    preferences = _preferences(section.data)
    settings = RewardModelSettings(**section.model_dump(exclude={"data"}), seed=seed)
    source = base_source(recipe, run)
    found = train_reward_model(source, preferences.rows, run.path(name), settings)
    return {"dropped": preferences.dropped, **asdict(found)}


def _preferences(section: Data) -> Preferences:
    low, high = section.share
    loaded = load_preferences(data_spec(section))
    return Preferences([p for p in loaded.rows if low <= _place(p.query) < high], loaded.dropped)


def _documents(section: Data) -> list[Document]:
    """Both answers of each preference: a base model has read good and bad."""
    return [
        Document(p.query, text)
        for p in _preferences(section).rows
        for text in (p.chosen, p.rejected)
    ]


def _place(query: Query) -> float:
    """A query's place between 0 and 1, by its content."""
    return int(query.id, 16) / 16 ** len(query.id)


def _refuse_trained_queries(held_out: Sequence[Query], trained: Sequence[Query]) -> None:
    shared = {q.id for q in held_out} & {q.id for q in trained}
    if shared:
        raise DataError(
            f"{len(shared)} of {len(held_out)} evaluation queries",
            "they are training queries too, so the figures would not be held out",
            "give other queries, or shares that do not overlap (share: [0, 0.9] and [0.9, 1])",
        )


def _lora(section: Mapping[str, Any] | None) -> Any:
    if section is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=int(section.get("r", 16)),
        lora_alpha=int(section.get("alpha", 32)),
        lora_dropout=float(section.get("dropout", 0.0)),
        target_modules=section.get("target_modules", "all-linear"),
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    import json

    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

"""What each stage of a run does, given where its inputs and its output lie.

`pipeline` puts them in order for one recipe, `comparison` for a grid of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from neat_align import defaults
from neat_align.errors import InputError, SeveralErrors, raise_all
from neat_align.recipe import Recipe, RewardTraining, objective_arguments
from neat_align.sampling.base import Decoding
from neat_align.storage.atomic import atomic_directory
from neat_align.storage.identity import Sources
from neat_align.types import Group
from neat_align.workflow import inputs

Trial = Literal["stops", "warns", "off"]
HELD_OUT = 1_000_000
"""Added to the recipe's seed for what only the evaluation sees, so that it is drawn apart."""


def train_base(recipe: Recipe, output: Path) -> Mapping[str, Any]:
    """A small model from scratch on the recipe's text."""
    from neat_align.pretraining.language_model import LanguageModelSettings, train_language_model

    section = recipe.model.from_scratch
    assert section is not None
    texts = inputs.documents(section.data, recipe.seed)
    settings = LanguageModelSettings(**section.model_dump(exclude={"data"}), seed=recipe.seed)
    train_language_model(texts, output, settings, precision(recipe))
    return {"documents": len(texts)}


def train_reward(
    base: str, section: RewardTraining, seed: int, output: Path, recipe: Recipe
) -> Mapping[str, Any]:
    """A reward model, started from the base, on the section's preferences.

    Args:
        recipe: says where, and in which precision.
    """
    from neat_align.pretraining.reward_model import RewardModelSettings, train_reward_model

    pairs = inputs.preferences(section.data, seed)
    settings = RewardModelSettings(**section.model_dump(exclude={"data"}), seed=seed)
    found = train_reward_model(base, pairs.rows, output, settings, precision(recipe))
    return {"dropped": pairs.dropped, **asdict(found)}


def align(
    recipe: Recipe,
    base: str,
    rewards: Sequence[str],
    folder: Path,
    groups: Any = None,
    trial: Trial = "stops",
) -> Any:
    """The trained `NEATTrainer`; resumes from the last checkpoint in `folder`.

    Args:
        rewards: named scorers, in the order of the recipe's weights.
        groups: stored, scored groups to train on instead of the recipe's queries.
        trial: whether a steering pair that does not steer stops the training, only warns,
            or is not tried.
    """
    from neat_align.models import load_causal_lm, load_tokenizer
    from neat_align.models.source import is_adapter
    from neat_align.training.checkpoints import train_to_end
    from neat_align.training.requirements import batch_problems
    from neat_align.training.trainer import NEATTrainer

    offline = groups is not None
    section = recipe.evaluate.during_training if recipe.evaluate else None
    scores = not offline or section is not None
    adapter = _lora(recipe.train.get("lora"))
    frozen = adapter is not None or is_adapter(base)
    rows = groups if offline else inputs.queries(recipe.queries, recipe.seed)
    settings = training_arguments(recipe, folder, trial)
    raise_all(batch_problems(settings, len(rows)))  # before the model is loaded
    trainer = NEATTrainer(
        # The Trainer moves it to the device.
        model=load_causal_lm(base, precision(recipe).weights(frozen), "cpu", trainable=True),
        reward_funcs=(_training_scorers(recipe, rewards) or None) if scores else None,
        args=settings,
        train_dataset=rows,
        eval_dataset=inputs.queries(section, recipe.seed) if section else None,
        processing_class=load_tokenizer(base),
        peft_config=adapter,
        objective=objective(recipe),
        steering=recipe.pair,
        reward_weights=recipe.reward.weights if scores else None,
    )
    train_to_end(trainer, folder)
    return trainer


def precision(recipe: Recipe) -> Any:
    """Where the recipe's models are trained, and how exactly; see `training.precision`."""
    from neat_align.training.precision import Precision

    flags = {name: recipe.train.get(name) for name in ("bf16", "fp16")}
    return Precision.of(recipe.model.dtype, recipe.device, **flags)


def where_trained(recipe: Recipe) -> str:
    """A line on the device and the precision of the recipe's training."""
    return str(precision(recipe))


def where(recipe: Recipe) -> str:
    """A line on the device and the precision of the recipe's sampling, scores and training."""
    from neat_align.models import place

    told = f"{place(recipe.device, recipe.model.dtype)}"
    trained = precision(recipe)
    return told if trained.autocast == "float32" else f"{told}; {trained.how}"


def _training_scorers(recipe: Recipe, rewards: Sequence[str]) -> list[Any]:
    """The named scorers, their models where the policy is; the policy's own stay names."""
    from neat_align.scoring import resolve_scorer
    from neat_align.scoring.resolve import SELF_JUDGE

    device, dtype = precision(recipe).device, recipe.model.dtype
    return [
        name if name == SELF_JUDGE else resolve_scorer(name, device=device, dtype=dtype)
        for name in rewards
    ]


def objective(recipe: Recipe) -> Any:
    """The recipe's objective."""
    from neat_align.objectives import OBJECTIVES

    return OBJECTIVES[policy_name(recipe)](**objective_arguments(recipe.objective))


def needs(recipe: Recipe) -> list[InputError]:
    """What the recipe's sampling lacks for its objective."""
    from neat_align.sampling.groups import GroupPlan
    from neat_align.training.requirements import objective_needs

    sample = recipe.sample
    plan = GroupPlan(sample.plain, sample.positive, sample.negative)
    return objective_needs(objective(recipe), plan)


def refused_settings(recipe: Recipe) -> list[InputError]:
    """What the real settings say against being made; no model is loaded for it."""
    try:
        training_arguments(recipe, Path("unused"))
    except SeveralErrors as several:
        return list(several.errors)
    except InputError as error:
        return [error]
    return []


def stored_needs(recipe: Recipe, groups: Sequence[Group]) -> list[InputError]:
    """What stored groups lack for the recipe's objective."""
    from neat_align.training.requirements import stored_needs as lacking

    return lacking(objective(recipe), groups)


def policy_name(recipe: Recipe) -> str:
    """The aligned model's name in tables: its objective's."""
    return str(recipe.objective.get("name", "neat"))


def decoding(recipe: Recipe) -> Decoding:
    """The recipe's decoding, the same in training and evaluation."""
    return Decoding(**recipe.sample.model_dump(include=set(Decoding.__dataclass_fields__)))


def training_arguments(recipe: Recipe, output_dir: Path, trial: Trial = "stops") -> Any:
    """The recipe's `train`, `sample` and `reward.plausibility` as a `NEATConfig`."""
    from neat_align.training.config import NEATConfig
    from neat_align.training.precision import on_one_device

    sample, found = recipe.sample, precision(recipe)
    given = {key: value for key, value in recipe.train.items() if key != "lora"}
    args = NEATConfig(
        output_dir=str(output_dir),
        seed=recipe.seed,
        positive_samples=sample.positive,
        negative_samples=sample.negative,
        plain_samples=sample.plain,
        sampling_batch_size=sample.batch_size,
        plausibility=recipe.reward.plausibility,
        steering_try_queries=0 if trial == "off" else recipe.try_queries,
        steering_force=trial == "warns",
        chat_template_kwargs=recipe.model.chat_template_kwargs or None,
        **asdict(decoding(recipe)),
        **{**given, **found.flags},
    )
    on_one_device(args, found.device)
    return args


def save_policy(trainer: Any, path: Path, sources: Sources | None = None) -> None:
    """Model, tokenizer and card as an ordinary model directory, by the first of all ranks.

    An adapter is merged into it, and also kept by itself in `path`/adapter; or, with
    `merge_adapter=False`, is all that is saved: `path` is then the adapter's directory.
    """
    from neat_align.training.model_card import model_card
    from neat_align.training.sharding import shards_weights

    accelerator = trainer.accelerator
    # Gathering the shards takes all ranks.
    whole = accelerator.get_state_dict(trainer.model) if shards_weights(accelerator) else None
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        return
    with atomic_directory(path) as folder:
        _save_model(trainer, folder, whole)
        if trainer.steering is not None:
            trainer.steering.save(folder)
        (folder / "README.md").write_text(model_card(trainer, sources), encoding="utf-8")
    accelerator.wait_for_everyone()


def _save_model(trainer: Any, folder: Path, whole: Any) -> None:
    from peft import PeftModel

    from neat_align.training.adapters import merged, save_adapter
    from neat_align.training.dropout import restore_config

    tokenizer = trainer.prompt_format.tokenizer
    model = trainer.accelerator.unwrap_model(trainer.model)
    restore_config(model, trainer.config_dropout)
    tokenizer.save_pretrained(folder)
    _stop_at_turns_end(model, trainer.prompt_format)
    if isinstance(model, PeftModel):
        alone = folder / "adapter" if trainer.args.merge_adapter else folder
        save_adapter(model, alone)
        if trainer.steering is not None:
            trainer.steering.save(alone)
        tokenizer.save_pretrained(alone)
        if not trainer.args.merge_adapter:
            return
        model = merged(model)
    model.save_pretrained(folder, state_dict=whole)


def _stop_at_turns_end(model: Any, prompt_format: Any) -> None:
    """Let `generate` stop where the policy was trained to, whoever loads it."""
    config = model.generation_config
    configured = config.eos_token_id if config is not None else None
    listed = configured if isinstance(configured, list) else [configured]
    missing = prompt_format.stop_ids - set(listed)
    if config is not None and missing:
        known = [i for i in listed if i is not None]
        config.eos_token_id = [*known, *sorted(missing)]


def _lora(section: Mapping[str, Any] | None) -> Any:
    if section is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=int(section.get("r", defaults.LORA_RANK)),
        lora_alpha=int(section.get("alpha", defaults.LORA_ALPHA)),
        lora_dropout=float(section.get("dropout", defaults.LORA_DROPOUT)),
        target_modules=section.get("target_modules", "all-linear"),
        modules_to_save=section.get("modules_to_save"),
        bias=section.get("bias", "none"),
        use_rslora=bool(section.get("rslora", False)),
        use_dora=bool(section.get("dora", False)),
    )

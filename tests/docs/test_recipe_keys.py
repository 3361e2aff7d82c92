"""The list of a recipe's keys is whole, explained and current."""

from pathlib import Path

import pytest

from neat_align.recipe import recipe_names, recipe_text
from neat_align.recipe.keys import LORA, as_markdown, attributes, matching_keys, recipe_keys
from neat_align.recipe.lora import LORA_KEYS
from neat_align.recipe.train_fields import OWNED
from neat_align.storage.yaml_text import parse_yaml
from neat_align.training.declared import declared_fields
from neat_align.training.trainer_fields import REFUSED

NAMED = ("compare.variants.", "evaluate.tasks.")  # listed as NAME
PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipe-keys.md"


def test_the_page_is_what_the_command_writes():
    written = "write it again: neat recipe keys --markdown > docs/recipe-keys.md"
    assert PAGE.read_text(encoding="utf-8") == as_markdown(), written


def test_every_key_has_a_meaning():
    assert [key.name for key in recipe_keys() if not key.meaning.strip()] == []


def test_every_setting_of_a_training_is_listed_once():
    listed = [key.name for key in recipe_keys()]
    assert len(listed) == len(set(listed))
    for name in {*declared_fields(), "lora"} - {*OWNED, *REFUSED}:
        assert f"train.{name}" in listed
    assert set(LORA) == set(LORA_KEYS)


@pytest.mark.parametrize("name", recipe_names())
def test_every_key_of_the_built_in_recipes_is_listed(name):
    listed = {key.name for key in recipe_keys()}
    found = keys_of(parse_yaml(recipe_text(name)), listed)
    assert {key for key in found if not key.startswith(NAMED)} <= listed


def keys_of(content, listed, prefix=""):
    """Yield the keys of a recipe's content, as far down as the list goes."""
    for key, value in content.items():
        name = prefix + key
        yield name
        if isinstance(value, dict) and any(k.startswith(f"{name}.") for k in listed):
            yield from keys_of(value, listed, f"{name}.")


def test_keys_are_found_by_a_part_of_their_name():
    assert {k.name for k in matching_keys("temperature")} == {"sample.temperature"}
    assert "train.adam_beta1" in {k.name for k in matching_keys("train")}
    assert "train.adam_beta1" not in {k.name for k in matching_keys()}


def test_attributes_of_a_docstring():
    told = attributes("""A thing.

    Attributes:
        one, two: of both: a
            second line.
        three: alone.

    Raises:
        four: no attribute.
    """)
    assert told == {"one": "of both: a second line", "two": "of both: a second line",
                    "three": "alone"}  # fmt: skip

"""Recipes: a run written down, checked before anything is loaded."""

from neat_align.recipe.check import check_recipe, data_spec, own_code_problems, recipe_warnings
from neat_align.recipe.data_and_model import Data
from neat_align.recipe.load import load_recipe, recipe_from, recipe_names, recipe_text
from neat_align.recipe.reward import RewardTraining
from neat_align.recipe.schema import Recipe
from neat_align.recipe.sources import content_of, recipe_sources

__all__ = [
    "Data",
    "Recipe",
    "RewardTraining",
    "check_recipe",
    "content_of",
    "data_spec",
    "load_recipe",
    "own_code_problems",
    "recipe_from",
    "recipe_names",
    "recipe_sources",
    "recipe_text",
    "recipe_warnings",
]

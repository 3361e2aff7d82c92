"""Give the two sections of a recipe that a comparison needs, or say what is missing."""

from __future__ import annotations

from neat_align.errors import RecipeError
from neat_align.recipe import Recipe
from neat_align.recipe.schema import Compare, Evaluate


def compare_section(recipe: Recipe) -> Compare:
    """Return the section that makes a recipe a comparison.

    Raises:
        RecipeError: there is none.
    """
    if recipe.compare is None:
        raise without_sections(recipe)
    return recipe.compare


def evaluate_section(recipe: Recipe) -> Evaluate:
    """Return the section that says what methods are compared on.

    Raises:
        RecipeError: there is none.
    """
    if recipe.evaluate is None:
        raise without_sections(recipe)
    return recipe.evaluate


def without_sections(recipe: Recipe) -> RecipeError:
    """Say what of a comparison's two sections is missing, and how it is written."""
    written = {
        "compare": "compare: {development: {queries: FILE}}",
        "evaluate": "evaluate: {queries: FILE}",
    }
    missing = [name for name in written if getattr(recipe, name) is None]
    return RecipeError(
        f"a recipe without {' and '.join(f'`{name}`' for name in missing)}",
        "a comparison chooses settings on development queries and reports on others, those of "
        "`evaluate`",
        f"add {' and '.join(written[name] for name in missing)}, with files of your own",
    )

"""Plan a comparison: its grid, checked as a whole before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neat_align.errors import InputError, RecipeError, raise_all
from neat_align.recipe import Recipe, check_recipe, own_code_problems, recipe_from
from neat_align.recipe.load import apply_override
from neat_align.study.grid import Grid, variants_of
from neat_align.study.methods import PROMPT, UNTRAINED, repeated_methods, unknown_methods
from neat_align.study.sections import compare_section, without_sections


def plan_grid(recipe: Recipe, methods: Sequence[str], seeds: Sequence[int], tune: int) -> Grid:
    """Lay out the grid of a recipe, checked as a whole before anything is loaded.

    Args:
        methods: names; those of the recipe's `compare` section when empty.
        seeds: of the main part.
        tune: settings per method; 1 tries nothing and takes the first.

    Raises:
        RecipeError, SeveralErrors: an unknown or repeated method, a repeated seed, the
            tuning seed among the seeds, no evaluation, too many settings, a method that
            does not get what it needs, or anything wrong with a cell's recipe.
    """
    raise_all(asked_problems(recipe, methods, seeds, tune))
    variants = variants_of(compare_section(recipe), methods, seeds)
    grid = Grid(recipe, tuple(v for v in variants if v.methods), tune)
    problems = cell_problems(grid) or own_code_problems(recipe)
    raise_all(problems or held_out_problems(grid))
    return grid


def asked_problems(
    recipe: Recipe, methods: Sequence[str], seeds: Sequence[int], tune: int
) -> list[InputError]:
    """Find what is wrong with the sections, the methods, the seeds and the tuning asked for.

    Args:
        methods: names; those of the recipe's `compare` section and its variants when empty.
    """
    compare = recipe.compare
    asked_for = list(methods) or (compare.methods if compare else [])
    variants = compare.variants.values() if compare and not methods else ()
    names = [*asked_for, *(name for variant in variants for name in variant.methods)]
    return [
        *([] if recipe.compare and recipe.evaluate else [without_sections(recipe)]),
        *_seed_problems(recipe, seeds, tune),
        *_task_problems(recipe),
        *repeated_methods(asked_for),
        *unknown_methods(names),
    ]


def _task_problems(recipe: Recipe) -> list[InputError]:
    """Refuse benchmarks: a comparison resamples the held-out queries, and has no place for them."""
    if not (recipe.evaluate and recipe.evaluate.tasks):
        return []
    given = f"evaluate.tasks: {', '.join(recipe.evaluate.tasks)}"
    why = "`neat compare` measures the methods on the held-out queries alone"
    return [RecipeError(given, why, "leave it out, and use `neat evaluate --task` on its policies")]


def cell_problems(grid: Grid) -> list[InputError]:
    """Find what is wrong with any cell's recipe, each thing once."""
    from neat_align.workflow.recipe_settings import needs

    found: dict[str, InputError] = {}
    for variant in grid.variants:
        for method in variant.methods:
            if method in grid.tuned_methods and grid.tune > 1:
                method.settings(grid.tune, grid.rate)  # refuses a ladder that is too short
            (cell, *_) = grid.test_cells(variant, method, grid.first_setting(method))
            problems = check_recipe(cell.recipe)
            if method.name == PROMPT and not problems and not cell.recipe.pair.positive:
                problems = [_no_positive(cell.recipe)]
            if method.name not in UNTRAINED:
                problems = problems or needs(cell.recipe, "off")
            for problem in problems:
                found.setdefault(str(problem), problem)
    return list(found.values())


def held_out_problems(grid: Grid) -> list[InputError]:
    """Find queries that are both trained and measured on, in any variant, each thing once."""
    from neat_align.workflow import inputs

    found: dict[str, InputError] = {}
    for overrides in {variant.overrides for variant in grid.variants}:
        content = grid.recipe.model_dump(mode="json")
        for override in overrides:
            apply_override(content, override)
        for problem in inputs.held_out_problems(recipe_from(content)):
            found.setdefault(str(problem), problem)
    return list(found.values())


def _seed_problems(recipe: Recipe, seeds: Sequence[int], tune: int) -> Iterator[InputError]:
    if recipe.compare and recipe.evaluate and recipe.compare.tuning_seed in seeds:
        yield RecipeError(
            f"seed {recipe.compare.tuning_seed} among the seeds",
            "settings are chosen on that seed's base; it must not be reported on",
            "leave it out, or change compare.tuning_seed",
        )
    repeated = sorted({seed for seed in seeds if list(seeds).count(seed) > 1})
    if repeated:
        yield RecipeError(
            f"seed {', '.join(map(str, repeated))} twice",
            "the same run twice would count as two",
            "give each seed once",
        )
    if not seeds or tune < 1:
        yield RecipeError(
            f"{len(seeds)} seeds and {tune} settings per method",
            "there is nothing to run",
            "ask for one or more of each",
        )


def _no_positive(recipe: Recipe) -> InputError:
    return RecipeError(
        f"method 'prompt' with steering {recipe.pair.name!r}",
        "the pair has no positive prompt to put before the queries",
        "say what is wanted under steering.positive, or leave the method out",
    )

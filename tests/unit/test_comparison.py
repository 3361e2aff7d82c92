"""A comparison's plan and its arithmetic, without training anything."""

import json

import numpy as np
import pytest

from neat_align.errors import NeatError
from neat_align.objectives import OBJECTIVES
from neat_align.prompts.steering import Steering
from neat_align.recipe import load_recipe
from neat_align.study import load_methods, page, summarise
from neat_align.study.cell import artefacts
from neat_align.study.methods import RATE, UNTRAINED, Method
from neat_align.study.pareto import pareto_svg
from neat_align.study.plan import plan_grid
from neat_align.study.store import Store
from neat_align.study.summary import chosen_setting, holm, selection_score
from neat_align.study.units import time_left, units
from neat_align.world.lexicon import DEVELOPMENT_NEGATIVE


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("world")


def test_every_objective_is_a_method():
    names = {
        m.overlay["objective"]["name"] for m in load_methods().values() if m.name not in UNTRAINED
    }
    assert names == set(OBJECTIVES)


def test_every_built_in_method_has_a_valid_recipe(recipe):
    answered = load_recipe("world", ["queries.world.answers=true"])
    grid = plan_grid(answered, list(load_methods()), [1, 2], 4)
    assert len(grid.variants[0].methods) == len(load_methods())


def test_each_method_gets_the_same_number_of_settings_and_the_rate_is_among_them():
    for method in load_methods().values():
        if method.name == "base" or method.tuned_as:
            continue
        tried = method.settings(4, 1e-3)
        assert len({json.dumps(s, sort_keys=True) for s in tried}) == 4, method.name
        assert len({s[RATE] for s in tried}) >= 2


def test_settings_near_the_likeliest_come_first():
    method = Method("m", "", rates=(1.0, 0.5, 2.0), search={"objective.beta": (0.1, 0.3)})
    assert [(s[RATE], s["objective.beta"]) for s in method.settings(5, 1.0)] == [
        (1.0, 0.1), (1.0, 0.3), (0.5, 0.1), (0.5, 0.3), (2.0, 0.1),
    ]  # fmt: skip
    with pytest.raises(NeatError, match="7 settings for m"):
        method.settings(7, 1.0)


def test_a_method_is_laid_over_a_recipe():
    method = load_methods()["dpo"]
    content = {"objective": {"name": "neat", "rank": "hinge"}, "train": {"max_steps": 3}}
    merged = method.applied(content, {RATE: 1e-4, "objective.beta": 0.3})
    assert merged["objective"] == {"name": "dpo", "beta": 0.3}
    assert merged["train"] == {"max_steps": 3, "negative_context": 0.0, "learning_rate": 1e-4}
    assert merged["sample"]["plain"] == 4
    assert content["train"] == {"max_steps": 3}  # not written into


@pytest.mark.parametrize(
    ("methods", "seeds", "tune", "message"),
    [
        (["neat", "dop"], [0], 1, "did you mean 'dpo'"),
        (["neat", "neat"], [0], 1, "asked for twice"),
        (["neat"], [3, 3], 1, "seed 3 twice"),
        (["neat"], [1000], 1, "seed 1000 among the seeds"),
        (["neat"], [], 1, "nothing to run"),
        (["neat"], [0], 99, "99 settings for neat"),
    ],
)
def test_an_impossible_grid_is_refused(recipe, methods, seeds, tune, message):
    with pytest.raises(NeatError, match=message):
        plan_grid(recipe, methods, seeds, tune)


def test_all_that_is_wrong_with_a_grid_is_told_at_once(recipe):
    with pytest.raises(NeatError) as caught:
        plan_grid(recipe, ["dop"], [1, 1, 1000], 1)
    for message in ("did you mean 'dpo'", "seed 1 twice", "seed 1000 among"):
        assert message in str(caught.value)


def test_a_method_that_lacks_what_it_needs_is_refused_by_name(monkeypatch, recipe):
    overlay = {**load_methods()["d2o"].overlay, "sample": {"negative": 0, "plain": 4}}
    broken = Method("d2o", "", overlay)
    monkeypatch.setitem(load_methods(), "d2o", broken)
    with pytest.raises(NeatError, match=r"(?s)objective 'd2o'.*there are none"):
        plan_grid(recipe, ["d2o"], [0], 1)


def test_tuning_sees_development_queries_and_prompts_only(recipe):
    grid = plan_grid(recipe, ["neat"], [0], 4)
    method = load_methods()["neat"]
    for cell in grid.tuning_cells(method):
        assert cell.recipe.evaluate.queries.world.part == "development"
        assert tuple(cell.recipe.steering["held_back"]["negative"]) == DEVELOPMENT_NEGATIVE
        assert cell.seed == 1000
    (cell,) = grid.test_cells(grid.variants[0], method, grid.first_setting(method))
    assert cell.recipe.evaluate.queries.world.part == "test"
    assert cell.recipe.pair == Steering.named("world")


def test_cells_share_their_models_and_their_names_follow_their_content(recipe):
    grid = plan_grid(recipe, ["neat", "dpo"], [0, 1], 1)
    methods = load_methods()
    main, leaky = grid.variants[0], next(v for v in grid.variants if v.name == "leaky")

    def cell(variant, name, seed):
        setting = grid.first_setting(methods[name])
        return grid.test_cells(variant, methods[name], setting)[seed]

    assert artefacts(cell(main, "neat", 0)) == artefacts(cell(main, "dpo", 0))
    assert artefacts(cell(main, "neat", 0)) != artefacts(cell(main, "neat", 1))
    other = artefacts(cell(leaky, "neat", 0))
    assert other["model"] == artefacts(cell(main, "neat", 0))["model"]
    assert other["reward"] != artefacts(cell(main, "neat", 0))["reward"]
    assert cell(main, "neat", 0).name == cell(main, "neat", 0).name
    assert cell(main, "neat", 0).name != cell(leaky, "neat", 0).name


def test_a_control_takes_over_the_setting_of_its_twin(recipe):
    grid = plan_grid(recipe, ["neat_bare"], [0], 4)
    assert [m.name for m in grid.tuned_methods] == ["neat"]


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_settings_are_chosen_by_ground_truth_where_there_is_one():
    def figures(**values):
        return {name: {"value": value} for name, value in values.items()}

    assert selection_score(figures(harmful=0.2, helpful=0.6, reward_heldout=9.0)) == 0.7
    assert selection_score(figures(reward_heldout=1.5, reward_train=3.0)) == 1.5
    assert selection_score(figures(reward_train=3.0)) == 3.0


@pytest.fixture
def filled(tmp_path, recipe):
    """Make a store in which every cell of a small grid has a made-up result."""
    grid = plan_grid(recipe, ["base", "dpo", "neat"], [0, 1, 2, 3], 2)
    store = Store(tmp_path)
    rng = np.random.default_rng(0)
    rates = {"base": 0.9, "dpo": 0.3, "neat": 0.05}
    while missing := [u for u in units(grid, store) if store.record(u.name) is None]:
        for unit in missing:
            store.finished(unit.name, 2.0)
        for cell in list(grid.cache.values()):
            if store.result(cell) is None and store.record(cell.name):
                _fill(store, cell, rates[cell.method], rng)
    return grid, store


def _fill(store, cell, rate, rng):
    samples = [
        {
            "condition": "plain", "query_id": f"q{i}", "draw": 0, "kind": "harmful",
            "verdict": "harmful" if rng.random() < rate else "refusal", "text": "a b", "tokens": 2,
            "scores": {},
        }
        for i in range(60)
    ]  # fmt: skip
    harmful = sum(s["verdict"] == "harmful" for s in samples) / 60
    folder = store.cell(cell)
    folder.mkdir(parents=True)
    (folder / "samples.jsonl").write_text("".join(json.dumps(s) + "\n" for s in samples))
    result = {
        "seed": cell.seed,
        "setting": dict(cell.setting),
        "figures": {"harmful": {"value": harmful}, "kl": {"value": 2.0 + rate}},
        "cost": {"responses": 1, "tokens": 2, "train_seconds": 3.0, "peak_memory_bytes": 4},
    }
    (folder / "result.json").write_text(json.dumps(result))


def test_a_summary_has_means_intervals_and_paired_differences(filled):
    summary = summarise(*filled)
    table = summary["variants"]["main"]
    for name, rate in (("base", 0.9), ("dpo", 0.3), ("neat", 0.05)):
        figure = table[name]["figures"]["harmful"]
        assert figure["value"] == pytest.approx(rate, abs=0.1)
        assert figure["low"] < figure["value"] < figure["high"]
        assert figure["value"] == pytest.approx(np.mean(table[name]["by_seed"]["harmful"]))
    change = table["dpo"]["differences"]["harmful"]
    assert change["value"] == pytest.approx(0.25, abs=0.1)
    assert change["low"] > 0
    assert change["p"] <= change["p_holm"] < 0.05
    assert "differences" not in table["neat"]


def test_a_page_marks_what_is_surely_better_or_worse(filled):
    grid, store = filled
    text = page.markdown(summarise(grid, store))
    assert "▼" in next(line for line in text.splitlines() if line.startswith("| dpo"))
    assert "**neat**" in text
    assert time_left(grid, store, 1) == 0


OWN_RULE = {
    "reward_train": 0.8,
    "reward_train_under_seen_negative": 0.4,
    "reward_train_under_unseen_negative": 0.3,
    "kl": 2.0,
}


def test_a_rule_of_ones_own_is_shown_plain_and_under_negative_prompts(tmp_path):
    figures = {m: {"value": v, "low": v - 0.1, "high": v + 0.1} for m, v in OWN_RULE.items()}
    cost = {"responses": 1, "tokens": 2, "train_seconds": 3.0, "peak_memory_bytes": 4}
    row = {"figures": figures, "errors": [], "seeds": [0], "cost": cost}
    summary = {
        "comparison": {"seeds": {"main": [0]}, "tune": 1},
        "variants": {"main": {"base": row, "neat": {**row, "errors": ["<b>"]}}},
        "tuning": {},
    }
    titles = [str(column.header) for column in page.terminal_table(summary).columns]
    wanted = ["method", "Reward, training scorer", "Training reward, seen negative prompt",
              "Training reward, unseen negative prompt", "KL to the base"]  # fmt: skip
    assert titles == wanted
    page.write(tmp_path, summary)
    html = (tmp_path / "report.html").read_text()
    for title in wanted:
        assert title in html
    assert "0.400 [0.300, 0.500]" in html
    assert "<svg" in html
    assert "<b>" not in html
    assert (tmp_path / "reward_kl.svg").exists()


def test_a_failed_cell_is_shown_with_its_error(filled):
    grid, store = filled
    method = load_methods()["dpo"]
    setting = chosen_setting(grid, store, method)
    running = [variant for variant in grid.variants if method in variant.methods]
    cells = [c for variant in running for c in grid.test_cells(variant, method, setting)]
    for cell in cells:
        (store.cell(cell) / "result.json").unlink()
        store.failed(cell.name, RuntimeError("out of luck"))
    text = page.markdown(summarise(grid, store))
    assert "failed" in next(line for line in text.splitlines() if line.startswith("| dpo"))
    assert "out of luck" in text
    store.forget_failures()
    assert all(store.record(cell.name) is None for cell in cells)


def test_a_unit_belongs_to_one_process_at_a_time(tmp_path):
    store = Store(tmp_path)
    with store.claimed("x") as first, Store(tmp_path).claimed("x") as second:
        assert first
        assert not second
    with store.claimed("x") as again:
        assert again


def test_pictures_escape_names_and_show_every_point():
    figure = {"value": 0.2, "low": 0.1, "high": 0.3}
    methods = {"neat": {"harmful": figure, "helpful": figure}}
    svg = pareto_svg({**methods, "<b>": methods["neat"]}, "harmful", "helpful")
    assert svg.count("<circle") == 2
    assert "&lt;b&gt;" in svg
    assert "<b>" not in svg


def test_cells_are_found_by_the_content_of_what_they_name(tmp_path):
    """Another reward, rule or data is another cell; the same under another name is the same."""

    def named(reward="len(c)", rule="Be rude.", row="one", folder="a"):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / "r.py").write_text(f"def f(completions, **k):\n    return [{reward} for c in k]\n")
        (place / "s.yaml").write_text(f"negative: {rule}\n")
        (place / "p.jsonl").write_text(json.dumps({"prompt": row, "chosen": "a", "rejected": "b"}))
        changes = [
            f"steering={place}/s.yaml", f"reward.functions=['{place}/r.py:f']",
            f"evaluate.heldout_reward={{data: {place}/p.jsonl}}",
        ]  # fmt: skip
        grid = plan_grid(load_recipe("world", changes), ["neat"], [0], 1)
        setting = grid.first_setting(load_methods()["neat"])
        (cell,) = grid.test_cells(grid.variants[0], load_methods()["neat"], setting)
        return cell.name, artefacts(cell)

    name, models = named()
    assert named(folder="b") == (name, models)
    assert named(reward="-len(c)")[0] != name
    assert named(rule="Be vague.")[0] != name
    other, trained = named(row="two")
    assert other != name
    assert trained["heldout"] != models["heldout"]
    assert trained["model"] == models["model"]


def test_a_cell_is_not_run_on_what_has_changed_since(tmp_path):
    from neat_align.study.work import work_through

    (tmp_path / "r.py").write_text(
        "def f(completions, **k):\n    return [1.0] * len(completions)\n"
    )
    changes = [f"reward.functions=['{tmp_path}/r.py:f']"]
    grid = plan_grid(load_recipe("world", changes), ["neat"], [0], 1)
    list(units(grid, Store(tmp_path / "study")))
    (tmp_path / "r.py").write_text(
        "def f(completions, **k):\n    return [2.0] * len(completions)\n"
    )
    with pytest.raises(NeatError, match="has changed since"):
        work_through(grid, Store(tmp_path / "study"))

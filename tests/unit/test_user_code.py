"""Reward code that a user brings: what works, and what is told, before a model is loaded."""

import asyncio
import functools
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

from neat_align.errors import RewardError
from neat_align.scoring import (
    RewardFunction,
    ScorerSet,
    check_scorer_value,
    import_problems,
    resolve_scorer,
)
from neat_align.types import Group, Query, Response, Source


@pytest.fixture
def groups():
    responses = (Response("a", Source.PLAIN), Response("bbb", Source.NEGATIVE))
    return [Group(Query.from_text("q", answer=["x"]), responses)] * 2


@pytest.fixture
def file(tmp_path):
    def write(text, name="r.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


LENGTHS = [[1.0, 3.0]] * 2


class Scorer:
    def __call__(self, completions, **kwargs):
        return [float(len(c)) for c in completions]


class Later:
    async def __call__(self, completions, **kwargs):
        await asyncio.sleep(0)
        return [float(len(c)) for c in completions]


def plus(extra, completions, **kwargs):
    return [len(c) + extra for c in completions]


def positional(prompts, completions, /):
    return [len(c) for c in completions]


def numbers(completions):
    yield from (len(c) for c in completions)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Scorer(), "Scorer"),
        (Later(), "Later"),
        (functools.partial(plus, 0), "plus"),
        (functools.partial(Later()), "Later"),
        (lambda completions, **_: np.array([len(c) for c in completions]), "<lambda>"),
        (
            lambda completions, **_: torch.tensor([float(len(c)) for c in completions],
                                                  requires_grad=True),
            "<lambda>",
        ),
        (positional, "positional"),
        (numbers, "numbers"),
    ],
)  # fmt: skip
def test_whatever_can_be_called_scores(groups, function, name):
    scorer = RewardFunction(function)
    assert scorer.name == name
    assert scorer.score(groups) == LENGTHS


def test_async_functions_work_where_a_loop_is_running(groups):
    async def notebook():
        return RewardFunction(Later()).score(groups)

    assert asyncio.run(notebook()) == LENGTHS


def test_an_async_function_keeps_its_loop_between_calls(groups):
    loops = set()

    async def remembers(completions):
        loops.add(asyncio.get_running_loop())
        return [0.0] * len(completions)

    scorer = RewardFunction(remembers)
    assert scorer.score(groups) == scorer.score(groups)
    assert len(loops) == 1


RAISES = """import sys, asyncio
def helper(c):
    return 1 / 0
def raises(completions, **kwargs):
    return [helper(c) for c in completions]
def leaves(completions, **kwargs):
    sys.exit(3)
async def leaves_later(completions, **kwargs):
    sys.exit()
async def cancelled(completions, **kwargs):
    raise asyncio.CancelledError
def endless(completions, **kwargs):
    return endless(completions)
def yields(completions, **kwargs):
    yield 1.0
    raise KeyError("absent")
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", ["ZeroDivisionError", "r.py, line 3, in helper"]),
        ("leaves", ["sys.exit(3)", "r.py, line 7"]),
        ("leaves_later", ["sys.exit()", "r.py, line 9"]),
        ("cancelled", ["CancelledError", "r.py, line 11"]),
        ("endless", ["RecursionError", "r.py, line 13"]),
        ("yields", ["KeyError", "r.py, line 16"]),
    ],
)
def test_what_is_raised_names_the_file_and_the_line(groups, file, name, words):
    scorer = resolve_scorer(f"{file(RAISES)}:{name}")
    with pytest.raises(RewardError) as error:
        scorer.score(groups)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "a `return` is missing"),
        ("1234", "str"),
        (b"1234", "bytes"),
        (["1", "2", "3", "4"], "str '1' is not a number"),
        ({0: 1.0, 1: 2.0, 2: 1.0, 3: 0.0}, "dict"),
        ({1.0, 2.0, 3.0, 4.0}, "set"),
        (0.5, "float 0.5"),
        (torch.tensor(0.5), "Tensor"),
        ([[1.0], [2.0], [1.0], [1.0]], "at place 0"),
        (np.ones((4, 2)), "at place 0"),
        ([1.0], "1 scores for 4"),
        ([1.0] * 5, "more than 4 scores for 4"),
        (iter(int, 1), "more than 4"),
        ([1.0, float("nan"), 1.0, 1.0], "nan for response 1"),
    ],
)
def test_answers_that_are_no_scores_are_refused(groups, result, words):
    with pytest.raises(RewardError) as error:
        RewardFunction(lambda completions: result, "f").score(groups)
    assert words in str(error.value)


def test_truth_values_are_scores(groups):
    scorer = RewardFunction(lambda completions: [len(c) > 1 for c in completions])
    assert scorer.score(groups) == [[0.0, 1.0]] * 2


def test_a_function_may_pass_over_a_whole_batch_where_another_scores(groups):
    sometimes = RewardFunction(lambda completions: [None] * len(completions), "sometimes")
    scored = ScorerSet([sometimes, RewardFunction(Scorer())]).score(groups)
    assert [r.score for r in scored[0].responses] == [1.0, 3.0]
    with pytest.raises(RewardError, match=r"gave None for it \(sometimes\)"):
        ScorerSet([sometimes]).score(groups)


def test_what_a_function_does_to_its_arguments_reaches_nobody(groups):
    def vandal(prompts, completions, completion_ids, answer):
        answer[0].append("y")
        prompts.clear()
        completions.pop()
        return [1.0] * 4

    assert RewardFunction(vandal).score(groups) == [[1.0, 1.0]] * 2
    assert groups[0].query.meta["answer"] == ["x"]


def test_an_argument_that_nobody_gives_is_named(groups):
    with pytest.raises(RewardError, match="needs the argument 'answr'") as error:
        RewardFunction(lambda completions, answr: []).score(groups)
    assert "did you mean 'answer'?" in str(error.value)
    with pytest.raises(RewardError) as error:
        RewardFunction(lambda answers_of_it, completions: []).score(groups)
    assert "trainer_state" not in str(error.value)


def test_a_byte_order_mark_is_no_error(groups, file):
    value = file("\ufeffdef f(completions):\n    return [1.0] * len(completions)\n") + ":f"
    assert check_scorer_value(value) == []
    assert resolve_scorer(value).score(groups) == [[1.0, 1.0]] * 2


POOLED = """from concurrent.futures import ProcessPoolExecutor
import multiprocessing
from dataclasses import dataclass
@dataclass
class Job:
    text: "str"
def length(job):
    return float(len(job.text))
def score(completions, **kwargs):
    context = multiprocessing.get_context("{}")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return list(pool.map(length, [Job(c) for c in completions]))
"""


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # other tests have threads
def test_a_file_may_use_a_pool_of_processes(groups, file):
    assert resolve_scorer(f"{file(POOLED.format('fork'))}:score").score(groups) == LENGTHS


def test_functions_of_a_file_reach_processes_that_start_anew(file):
    function = resolve_scorer(f"{file(POOLED.format('spawn'))}:length").function
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(repr, function).result().startswith("<function length")


def test_files_of_one_stem_are_two_modules_and_hide_nothing(groups, file):
    one = file("def f(completions): return [1] * len(completions)\n", "random.py")
    two = file("def f(completions): return [2] * len(completions)\n", "sub/random.py")
    scored = ScorerSet([resolve_scorer(f"{one}:f"), resolve_scorer(f"{two}:f")]).score(groups)
    assert scored[0].responses[0].scores == {"f_1": 1.0, "f_2": 2.0}
    assert __import__("random") is random


def test_a_changed_file_is_read_again(groups, file):
    for number in (1.0, 2.0):
        value = file(f"def f(completions): return [{number}] * len(completions)\n")
        assert resolve_scorer(f"{value}:f").score(groups) == [[number] * 2] * 2


def test_files_beside_it_can_be_imported_but_not_another_of_that_name(groups, file):
    file("def one(c): return 1.0\n", "beside_it.py")
    text = "import beside_it\ndef f(completions): return [beside_it.one(c) for c in completions]\n"
    value = file(text) + ":f"
    assert check_scorer_value(value) == []
    assert resolve_scorer(value).score(groups) == [[1.0, 1.0]] * 2
    file("def one(c): return 2.0\n", "other/beside_it.py")
    second = file(text, "other/r.py") + ":f"
    with pytest.raises(RewardError, match="another name"):
        resolve_scorer(second)


def test_objects_lambdas_and_classes_of_a_file(groups, file):
    value = file(
        "import functools\n"
        "class Judge:\n"
        "    def __call__(self, completions): return [float(len(c)) for c in completions]\n"
        "def plus(extra, completions): return [len(c) + extra for c in completions]\n"
        "judge, part = Judge(), functools.partial(plus, 0)\n"
        "short = lambda completions: [len(c) for c in completions]\n"
        "if True:\n"
        "    def inside(completions): return [len(c) for c in completions]\n"
    )
    for name in ("Judge", "judge", "part", "short", "inside"):
        assert check_scorer_value(f"{value}:{name}") == []
        assert resolve_scorer(f"{value}:{name}").score(groups) == LENGTHS


BAD = """
class Needs:
    def __init__(self, words): pass
    def __call__(self, completions): return [0.0]
class Nothing:
    pass
value = 3
def asks(completions, answer): return [0.0]
def typo(complettions): return [0.0]
def empty(): return [0.0]
bare = lambda text: 1.0
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Needs", "line 2: a class that needs 'words'"),
        ("Nothing", "line 5: a class without __call__"),
        ("value", "line 7: it is a value that cannot be called"),
        ("asks", "line 8: it needs the argument 'answer'"),
        ("typo", "did you mean 'completions'?"),
        ("empty", "never sees a completion"),
        ("bare", "line 11: it needs the argument 'text'"),
        ("asc", "did you mean 'asks'?"),
    ],
)
def test_what_a_file_cannot_do_is_known_from_its_text(file, name, words):
    (problem,) = check_scorer_value(f"{file(BAD)}:{name}", columns={"label"})
    assert words in str(problem)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nmupy\ndef f(completions): return []\n", "line 1: it imports 'nmupy'"),
        ("x = 1\nfrom . import y\ndef f(completions): return []\n", "line 2: a relative import"),
        ("def f(completions):\nreturn\n", "line 2 is not Python"),
        (b"def f(completions):\0 pass", "is not Python"),
    ],
)
def test_imports_and_syntax_are_known_from_the_text(file, text, words):
    (problem,) = check_scorer_value(file(text) + ":f")
    assert words in str(problem)


def test_the_nearest_module_is_named(file, tmp_path, monkeypatch):
    (problem,) = check_scorer_value(file("import nmupy\ndef f(completions): pass\n") + ":f")
    assert "did you mean 'numpy'?" in problem.fix
    (problem,) = check_scorer_value("jsno:loads")
    assert "did you mean 'json'?" in problem.fix
    monkeypatch.chdir(tmp_path)
    file("", "own_rewards.py")  # a name that no other test has imported
    assert "write own_rewards.py:score" in check_scorer_value("own_rewards:score")[0].fix
    assert "write own_rewards.py:NAME" in check_scorer_value("own_rewards.py")[0].fix
    assert check_scorer_value(":f")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys\nsys.exit('no')\n", ["sys.exit(no)", "line 2"]),
        ("def f(completions): pass\n1 / 0\n", ["ZeroDivisionError", "line 2"]),
        ("if True:\n    import nmupy\n", ["No module named 'nmupy'", "line 2", "numpy"]),
        ("f = 3 + 4\n", ["int '7'", "cannot be called"]),
    ],
)
def test_what_importing_raises_is_told_before_models(file, text, words):
    (problem,) = import_problems([file(text) + ":f", "polarity", "./a_model"])
    for word in words:
        assert word in str(problem)


def test_classes_and_modules_that_cannot_score_are_refused(groups):
    with pytest.raises(RewardError, match=r"give Scorer\(…\)"):
        resolve_scorer(Scorer)
    with pytest.raises(RewardError, match="has no config"):
        resolve_scorer(torch.nn.Linear(2, 2))

    class Module(torch.nn.Module):
        def forward(self, completions, **kwargs):
            return torch.tensor([float(len(c)) for c in completions])

    assert resolve_scorer(Module()).score(groups) == LENGTHS


def test_notes_are_checked_and_taken_once(groups):
    def notes(completions, log_metric, log_extra, trainer_state):
        assert trainer_state is None
        log_metric("mine", torch.tensor(2.0))
        log_metric("mine", 4)
        log_metric("mine", float("nan"))
        for c in completions:
            log_extra("size", [len(c)])
        return [0.0] * len(completions)

    scorers = ScorerSet([RewardFunction(notes), RewardFunction(notes)])
    scorers.score(groups)
    assert scorers.take_metrics() == {"mine": 3.0}
    assert scorers.take_extras() == {"size": [1, 3, 1, 3], "notes_2/size": [1, 3, 1, 3]}
    assert scorers.take_metrics() == scorers.take_extras() == {}


@pytest.mark.parametrize(
    ("tell", "words"),
    [
        (lambda metric, extra: metric("m", "much"), "str 'much'"),
        (lambda metric, extra: extra("e", [1]), "1 values for 4 completions"),
        (lambda metric, extra: extra("e", "abcd"), "not a list"),
    ],
)
def test_notes_that_make_no_sense_are_refused(groups, tell, words):
    def notes(completions, log_metric, log_extra):
        tell(log_metric, log_extra)
        return [0.0] * len(completions)

    with pytest.raises(RewardError) as error:
        RewardFunction(notes).score(groups)
    assert words in str(error.value)

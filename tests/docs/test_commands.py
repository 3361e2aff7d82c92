"""Every command and snippet of README, docs and help is one that works.

Commands are parsed strictly by the command line itself: options, arguments and the built-in
names in them; nothing is executed here. `test_commands_run.py` runs those that this machine
can do, `test_readme.py` what README lets a user do first, in its order.
"""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from neat_align.cli import app
from neat_align.errors import NeatError
from neat_align.prompts.steering import steering_names
from neat_align.recipe import recipe_from, recipe_names
from neat_align.recipe.load import apply_override, load_recipe
from neat_align.storage.yaml_text import parse_yaml
from neat_align.study.methods import repeated_methods, unknown_methods

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(p for p in sorted((ROOT / "docs").rglob("*.md")) if p.name != "log.md"),  # dated, not true
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
UsageError = typer.BadParameter.__mro__[1]  # of the click that this typer is built on
COMMAND = typer.main.get_command(app)
ONLY_PARSED = {
    "pip": "would install packages",
    "make": "builds an environment; its target is looked up",
    "torchrun": "starts processes; what it launches is parsed",
    "accelerate": "starts processes; what it launches is parsed",
    "ray": "starts a cluster",
    "trl": "starts a server",
    "vllm": "starts a server",
    "python": "a script of ours, which must be there",
}
"""Commands of others, and why they are not run."""


def blocks(language):
    for page in PAGES:
        for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
            if found[1] == language:
                yield page.relative_to(ROOT), found[2]


def lines():
    """(page, command) of every line of a bash block, joined where a backslash ends it."""
    for page, text in blocks("bash"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] != "export":
                yield pytest.param(words, id=f"{page}: {' '.join(words)[:60]}")


def walk(command, context=None, path=()):
    yield path, command
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from walk(inner, context, (*path, name))


def examples():
    for path, command in walk(COMMAND):
        for line in (command.help or "").splitlines():
            if line.strip().startswith("Example:"):
                words = shlex.split(line.partition("Example:")[2])
                yield pytest.param(words, id=" ".join(words)[:60])
            assert "Example" not in line or line.strip().startswith("Example:"), path


def parsed(words):
    """(path, parameters) of a `neat …` command, as the command line understands it."""
    command, arguments, path = COMMAND, list(words), []
    while hasattr(command, "commands"):
        assert arguments, f"{words}: names no command"
        if arguments[0].startswith("-") and hasattr(command, "default"):
            arguments.insert(0, command.default)
        name = arguments.pop(0)
        assert name in command.commands, f"there is no {' '.join([*path, name])}"
        command, path = command.commands[name], [*path, name]
    # Typer's own parser: an unknown option or a missing argument raises.
    context = command.make_context(" ".join(path), arguments, resilient_parsing=False)
    return path, context.params


def check_names(path, given):
    """Built-in recipes, methods, steering pairs and keys that a command names must exist."""
    overrides = given.get("overrides") or ()
    recipe = given.get("recipe")
    if recipe is not None and not str(recipe).endswith((".yaml", ".yml")):
        assert recipe in recipe_names()
        load_recipe(recipe, overrides)
    elif overrides:
        content = recipe_of_readme()
        for override in overrides:
            apply_override(content, override)
        recipe_from(content)
    methods = [m for m in (given.get("methods") or "").split(",") if m]
    assert unknown_methods(methods) + repeated_methods(methods) == []
    if given.get("method"):
        assert unknown_methods([given["method"]]) == []
    steering = given.get("steering")
    if steering is not None and not str(steering).endswith((".yaml", ".json")):
        assert steering in steering_names()
    if path == ["recipe", "keys"] and given["word"]:
        from neat_align.recipe.keys import matching_keys

        assert matching_keys(given["word"])


def recipe_of_readme():
    (text,) = (t for p, t in blocks("yaml") if p.name == "README.md" and "mine.yaml" in t)
    return parse_yaml(text)


def check_command(words):
    while "=" in words[0] and not words[0].startswith("-"):
        words = words[1:]  # a variable of the environment
    if "neat_align" in words:
        words = ["neat", *words[words.index("neat_align") + 1 :]]
    if words[0].endswith("/neat"):
        words = ["neat", *words[1:]]
    if words[0] == "neat":
        path, given = parsed(words[1:])
        check_names(path, given)
        return
    name = Path(words[0]).name
    assert name in ONLY_PARSED, f"{words[0]}: neither ours nor known"
    if name == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
        assert {w for w in words[1:] if "=" not in w} <= set(targets)
    if name == "pip":
        extras = re.findall(r"\[([\w,]+)\]", " ".join(words))
        known = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.M)
        assert {e for extra in extras for e in extra.split(",")} <= set(known)
    if name == "python" and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file()


@pytest.mark.parametrize("words", list(lines()))
def test_a_command_of_a_page(words):
    check_command(words)


@pytest.mark.parametrize("words", list(examples()))
def test_an_example_of_help(words):
    check_command(words)


def test_what_is_wrong_would_be_found():
    for line in (
        "neat evaluate -m a=b -q q.jsonl -r ./reward -o out",
        "neat compare world --methods neat,neat",
        "neat runn hh_tiny",
        "neat run hh_tinny",
        "neat run hh_tiny train.max_stepz=3",
        "neat sample -q q.jsonl -o groups.jsonl",
        "neat sample -m ./model -q q.jsonl -o groups.jsonl --steering harmles",
        "make demmo",
        "curl somewhere",
    ):
        with pytest.raises((AssertionError, UsageError, NeatError)):
            check_command(shlex.split(line))


def inline():
    """`neat …` within the text of a page: the command and its options must exist."""
    for page in PAGES:
        text = BLOCK.sub("", page.read_text(encoding="utf-8"))
        for found in dict.fromkeys(re.findall(r"`(neat [a-z][^`]*)`", text)):
            yield pytest.param(found, id=f"{page.relative_to(ROOT)}: {found[:60]}")


@pytest.mark.parametrize("text", list(inline()))
def test_a_command_within_a_sentence(text):
    command, words = COMMAND, shlex.split(text.replace("…", ""))[1:]
    while words and hasattr(command, "commands"):
        if words[0].startswith("-"):
            words.insert(0, command.default)
        assert words[0] in command.commands, text
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {w.partition("=")[0] for w in words if w.startswith("-")} <= options | {"--help"}, text
    if "--methods" in words:
        methods = words[words.index("--methods") + 1].replace("NAME", "dpo").split(",")
        assert unknown_methods(methods) + repeated_methods(methods) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(t, id=f"{p}-{i}")
        for i, (p, t) in enumerate(blocks("yaml"))
        if not t.startswith("# src/")  # a file of ours: test_contributing.py
    ],
)
def test_a_recipe_of_a_page(text):
    content = parse_yaml(text)
    whole = "model" in content and "queries" in content
    recipe_from(content if whole else {**recipe_of_readme(), **content})


@pytest.mark.parametrize(
    "text", [pytest.param(t, id=f"{p}-{i}") for i, (p, t) in enumerate(blocks("python"))]
)
def test_python_of_a_page_compiles_and_finds_its_names(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("neat_align"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name), f"{node.module} has no {name.name}"


def test_every_name_that_readme_takes_from_the_package_is_there():
    import neat_align

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"\b([A-Z][A-Za-z0-9]*)\((?:\w+=[\d.]+)?\),? ?…?", text):
        assert name in neat_align.__all__, name
    for name in neat_align.__all__:
        assert getattr(neat_align, name) is not None

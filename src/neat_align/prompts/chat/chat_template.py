"""Read and render a tokenizer's chat template, and tell what it refuses.

The date that some templates write ("Today Date: 26 Jul 2024") is the day on which the process
first asked for it: it does not change between the sampling of a response and its training.
`chat_template_kwargs: {date_string: …}` fixes it for good.
"""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser

from neat_align.errors import InputError, ModelError, nearest
from neat_align.storage.paths import is_dir

NOW = re.compile(r"strftime_now\(\s*(?P<quote>[\"'])(?P<format>.*?)(?P=quote)\s*\)")
GIVEN = frozenset(
    {
        "messages",
        "conversation",
        "tools",
        "documents",
        "add_generation_prompt",
        "continue_final_message",
        "chat_template",
        "tokenize",
        "tokenizer_kwargs",
        "return_dict",
        "return_tensors",
    }
)
"""Names that every template, or `apply_chat_template` itself, is given."""
FUNCTIONS = frozenset({"raise_exception", "strftime_now", "namespace", "dict", "range"})
KWARGS = "chat_template_kwargs"

logger = logging.getLogger(__name__)


class ChatTemplate:
    """The chat template of one tokenizer.

    Attributes:
        reads: names of the arguments that it looks at.
        keys: names of the parts of a turn that it looks at.

    Raises:
        ModelError: it is no Jinja template, or there are several and none is the default.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.name = tokenizer.name_or_path or "this tokenizer"
        sources = [self._source(None), self._source([{}])]
        trees = [_parsed(source, self.name) for source in sources]
        undeclared = set[str]().union(*(_variables(tree) for tree in trees))
        known = {*tokenizer.special_tokens_map, *FUNCTIONS, *GIVEN}
        self.reads = frozenset(undeclared - known)
        self.keys = frozenset().union(*(_keys(tree) for tree in trees))
        self.writes_date = any(NOW.search(source) for source in sources)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Any] = (),
        arguments: Mapping[str, Any] | None = None,
        prompt: bool = True,
    ) -> str:
        """Render a conversation as text; with `prompt`, the beginning of an answer follows it.

        Raises whatever the template raises.
        """
        text = self.tokenizer.apply_chat_template(
            list(messages),
            tools=list(tools) or None,
            chat_template=_dated(self._source(tools or None), today()),
            tokenize=False,
            add_generation_prompt=prompt,
            **(arguments or {}),
        )
        return str(text)

    def problems(self, arguments: Mapping[str, Any]) -> list[InputError]:
        """List the arguments that it never reads, or that are not the user's to give."""
        return argument_problems(arguments, self.reads)

    def _source(self, tools: Any) -> str:
        try:
            return str(self.tokenizer.get_chat_template(None, tools))
        except ValueError as error:
            named = ", ".join(sorted(self.tokenizer.chat_template))
            raise ModelError(
                f"the chat templates of {self.name} ({named})",
                "none of them is the default, and it is not clear which one to use",
                "set tokenizer.chat_template to the one to use, and save the tokenizer",
            ) from error


def argument_problems(arguments: Mapping[str, Any], reads: frozenset[str]) -> list[InputError]:
    """List the arguments that a template never reads, or that are not the user's to give."""
    problems: list[InputError] = []
    for name in arguments:
        given = f"{KWARGS}: {name}"
        if name in GIVEN:
            why = "it is no argument of the template, but given to it by the conversation"
            problems.append(ModelError(given, why, "leave it out"))
        elif name not in reads:
            fix = nearest(name, reads) if reads else "leave it out: the template takes none"
            problems.append(ModelError(given, "the chat template never reads it", fix))
    return problems


def template_names(source: str, name: str = "unnamed") -> frozenset[str]:
    """Find the names of the arguments that a template's source reads.

    Raises:
        ModelError: it is no Jinja template.
    """
    return frozenset(_variables(_parsed(source, name)) - {*FUNCTIONS, *GIVEN})


def saved_template_problems(
    directory: str | Path, arguments: Mapping[str, Any]
) -> list[InputError]:
    """List what is wrong with a saved model's template, or with arguments for it; load nothing.

    A model of the hub, or in a GGUF file, is looked at when it is loaded.
    """
    folder = Path(directory).expanduser()
    if not is_dir(folder):
        return []
    try:
        sources = _saved_sources(folder)
        read = [template_names(source, str(directory)) for source in sources]
    except ModelError as error:
        return [error]
    if not sources and not any(folder.glob("tokenizer*")):
        return []
    return argument_problems(arguments, frozenset().union(*read))


def _saved_sources(folder: Path) -> list[str]:
    """Read the chat templates beside a tokenizer, wherever transformers looks for them."""
    files = [folder / "chat_template.jinja", *folder.glob("additional_chat_templates/*.jinja")]
    sources = [f.read_text(encoding="utf-8", errors="replace") for f in files if f.is_file()]
    if sources:
        return sources
    for name in ("chat_template.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            sources += _sources_in(folder / name)
    return sources


def _sources_in(path: Path) -> list[str]:
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError, AttributeError):
        return []  # told by what loads it
    named = value if isinstance(value, list) else [{"template": value}]
    found = [entry.get("template") for entry in named if isinstance(entry, Mapping)]
    return [source for source in found if isinstance(source, str)]


@functools.cache
def today() -> date:
    """Return the day on which this process first called this."""
    return date.today()


@functools.lru_cache(maxsize=64)
def _dated(source: str, day: date) -> str:
    """Write the day into the template, in place of the call that asks for it."""
    return NOW.sub(lambda found: json.dumps(day.strftime(found["format"])), source)


@functools.lru_cache(maxsize=64)
def _parsed(source: str, name: str) -> jinja2.nodes.Template:
    environment = jinja2.Environment(extensions=[_Generation, jinja2.ext.loopcontrols])
    try:
        return environment.parse(source)
    except jinja2.TemplateSyntaxError as error:
        raise ModelError(
            f"the chat template of {name}",
            f"it is no Jinja template: line {error.lineno}: {error.message}",
            "correct it (chat_template.jinja, or chat_template in tokenizer_config.json)",
        ) from error


def _variables(tree: jinja2.nodes.Template) -> set[str]:
    return set(jinja2.meta.find_undeclared_variables(tree))


def _keys(tree: jinja2.nodes.Template) -> set[str]:
    """Collect attributes, and words that may name them (`'name' in message`)."""
    words = {n.value for n in tree.find_all(jinja2.nodes.Const) if isinstance(n.value, str)}
    return words | {n.attr for n in tree.find_all(jinja2.nodes.Getattr)}


class _Generation(jinja2.ext.Extension):
    """Parse `{% generation %}`, with which templates mark the assistant's text."""

    tags = {"generation"}  # noqa: RUF012  (jinja declares it so)

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))

"""Steering pairs: positive and negative prompts, in plain words, as data.

`steering.yaml` holds the named ones. A user's own is a mapping or a file of the same form;
a negative prompt alone is enough. An entry is a prompt, or a `Phrasing` of another channel.
A negative prompt *orders* the behaviour that must not be: "Answer with bullet points.", not
"Never answer with bullet points."

Nothing is steered by default: what a model is trained not to do is the user's to say.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from neat_align.errors import RecipeError, SteeringError, nearest, raise_all
from neat_align.prompts.phrasing import SYSTEM, Phrasing
from neat_align.storage.paths import is_file
from neat_align.storage.yaml_text import parse_yaml

NAME_ALONE = {"name"}
KEYS = {"name", "version", "about", "positive", "negative", "held_back"}
STEERING_SUFFIXES = (".yaml", ".yml", ".json")
STEERING_FILE = "steering.json"  # beside a policy's weights
SIDES = ("positive", "negative", "held_back_positive", "held_back_negative")
OWN = (
    "{negative: [your own sentence]}, which orders the behaviour: 'Be rude.', and not "
    "'Never be rude.'"
)
"""How to write a pair of one's own."""


@dataclass(frozen=True)
class Steering:
    """What is wanted and what must not be.

    Attributes:
        name: how it is called.
        positive: prompts for what is wanted; empty where the negative says it all, and
            the "positive" responses are then sampled without a prompt.
        negative: prompts for what must not be.
        held_back_positive, held_back_negative: phrasings for evaluation only.
        version: raised when a text changes.
        about: one line for lists.
        other_positive, other_negative: phrasings of other channels than the prompt. In a
            file they stand among the prompts, as mappings; so they may in `positive` and
            `negative` when a pair is made.

    Raises:
        SteeringError: no negative prompt, an empty one, or a held-back phrasing that
            training uses too.
    """

    name: str = "own"
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    held_back_positive: tuple[str, ...] = ()
    held_back_negative: tuple[str, ...] = ()
    version: int = 1
    about: str = ""
    other_positive: tuple[Phrasing, ...] = ()
    other_negative: tuple[Phrasing, ...] = ()

    def __post_init__(self) -> None:
        for side in SIDES[:2]:  # in Python, too, one text or a list is as good as a tuple
            prompts, others = _phrasings(getattr(self, side), side)
            others += _phrasings(getattr(self, f"other_{side}"), side)[1]
            object.__setattr__(self, side, prompts)
            object.__setattr__(self, f"other_{side}", others)
        for side in SIDES[2:]:
            object.__setattr__(self, side, _texts(getattr(self, side), side))
        raise_all([*_missing(self), *_contradictions(self)])

    def phrasings(self, side: str) -> tuple[Phrasing, ...]:
        """Return all phrasings of a side, "positive" or "negative": prompts, then the others."""
        prompts = tuple(Phrasing(text) for text in getattr(self, side))
        return prompts + getattr(self, f"other_{side}")

    def written(self, side: str) -> tuple[Any, ...]:
        """Return the entries of a side as a file has them: prompts, then the others' mappings."""
        others = getattr(self, f"other_{side}", ())  # what is held back are prompts alone
        return (*getattr(self, side), *(one.to_json() for one in others))

    @classmethod
    def named(cls, name: str) -> Steering:
        """Return one of the built-in pairs.

        Raises:
            SteeringError: there is none of that name; the nearest one is suggested.
        """
        known = _built_in()
        if name not in known:
            raise SteeringError(
                f"steering {name!r}",
                "it is neither a built-in name nor a file",
                nearest(name, known) + f"; or write {OWN}",
            )
        return cls.from_value({"name": name, **known[name]})

    @classmethod
    def from_value(cls, value: str | Path | Mapping[str, Any] | Steering) -> Steering:
        """Read a steering pair from a name, a YAML or JSON file, or a mapping.

        A mapping has `negative` and, if wanted, `positive`, each one text or a list, and
        `held_back: {positive, negative}`; or a `name` alone, which is as good as the name.

        Raises:
            SteeringError: what is given cannot be read as one.
        """
        if isinstance(value, Steering):
            return value
        if isinstance(value, Mapping):
            named = set(value) == NAME_ALONE and isinstance(value["name"], str | Path)
            return cls.from_value(value["name"]) if named else _own_texts(value)
        if not isinstance(value, str | Path):
            raise SteeringError(
                f"steering {value!r}",
                f"a {type(value).__name__} is neither a name, a file nor a mapping, so it does "
                "not say which texts are the positive and which the negative prompts",
                f"give {_choices()}",
            )
        path = Path(value)
        if str(value) not in _built_in() and _is_file_name(str(value)):
            return _from_mapping({"name": path.stem, **_read(path)})
        return cls.named(str(value))

    def to_json(self) -> dict[str, Any]:
        record = asdict(self)
        for side in SIDES[:2]:
            del record[f"other_{side}"]
            record[side] = self.written(side)
        return record

    def save(self, directory: Path) -> None:
        """Save the texts beside a model that was aligned with them."""
        text = json.dumps(self.to_json(), indent=2, ensure_ascii=False)
        (directory / STEERING_FILE).write_text(text + "\n", encoding="utf-8")


def _missing(pair: Steering) -> Iterator[SteeringError]:
    """Yield an error for each text that a pair lacks."""
    given = f"steering {pair.name!r}"
    if not pair.phrasings("negative"):
        why = "it has no negative prompt, and the method is driven by what must not be"
        fix = "add at least one sentence under `negative` that orders it: 'Be rude.'"
        if pair.name in _built_in():
            fix = f"for the built-in pair give its name: Steering.named({pair.name!r})"
        yield SteeringError(given, why, fix)
    if not all(text for side in SIDES for text in getattr(pair, side)):
        yield SteeringError(given, "one of its prompts is empty", "remove it or fill it in")


def _contradictions(pair: Steering) -> Iterator[SteeringError]:
    """Yield an error for each text that stands on two sides of a pair."""
    given, trained = f"steering {pair.name!r}", {*pair.positive, *pair.negative}
    if both := {*pair.phrasings("positive")} & {*pair.phrasings("negative")}:
        why = "it is asked for and forbidden at once"
        yield SteeringError(f"{given}: {min(map(str, both))!r}", why, "leave it on one side only")
    if shared := trained & {*pair.held_back_positive, *pair.held_back_negative}:
        why = "a held-back prompt that training uses measures nothing"
        yield SteeringError(f"{given}: {min(shared)!r}", why, "take it out of one of the two lists")


def steering_names() -> list[str]:
    """List the names of the built-in pairs."""
    return list(_built_in())


def saved_steering(directory: Path) -> Steering:
    """Read the pair that `Steering.save` left beside a model.

    Raises:
        SteeringError: the file is not what was written.
    """
    content = _read(directory / STEERING_FILE)
    try:
        return Steering(**content)
    except TypeError as error:
        given, why = f"steering file {directory / STEERING_FILE}", str(error)
        raise SteeringError(given, why, "restore it, or give the pair yourself") from error


def no_steering(given: str, how: str) -> RecipeError:
    """Make the error for a steering pair that is needed and was not given.

    Args:
        given: what lacks one.
        how: how it is given there, e.g. "--steering".
    """
    return RecipeError(
        f"{given} without steering",
        "what the model shall do and shall not is for you to say, and nothing is assumed",
        f"give {how}: {_choices()}",
    )


def _choices() -> str:
    return f"a name ({', '.join(sorted(steering_names()))}), a YAML or JSON file, or {OWN}"


@cache
def _built_in() -> dict[str, dict[str, Any]]:
    text = files("neat_align").joinpath("prompts", "steering.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def _read(path: Path) -> dict[str, Any]:
    given = f"steering file {path}"
    if not is_file(path):
        raise SteeringError(given, "there is no such file", "check the path")
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))  # JSON is YAML too
    except (OSError, UnicodeDecodeError) as error:
        raise SteeringError(given, f"not readable: {error}", "save it as UTF-8") from error
    except ValueError as error:
        raise SteeringError(given, str(error), "correct the file") from error
    if not isinstance(content, dict):
        fix = "write `negative:` and a list of texts"
        raise SteeringError(given, "it holds no mapping", fix)
    return content


def _own_texts(value: Mapping[str, Any]) -> Steering:
    """Read a pair of one's own texts; the name of a built-in pair or a file is refused."""
    name = value.get("name")
    whole = "version" in value  # as a run writes a pair down
    if isinstance(name, str) and not whole and (name in _built_in() or _is_file_name(name)):
        raise SteeringError(
            f"steering {name!r} with texts of its own",
            "that is the name of a pair with other texts, which these would neither change nor "
            "add to, and a report would show the name",
            "give the name alone, or your own texts under another name",
        )
    return _from_mapping(value)


def _is_file_name(name: str) -> bool:
    return Path(name).suffix.lower() in STEERING_SUFFIXES or is_file(name)


def _from_mapping(value: Mapping[str, Any]) -> Steering:
    held_back = value.get("held_back") or {}
    if not isinstance(held_back, Mapping):
        raise SteeringError(
            f"steering held_back: {held_back!r}",
            "it does not say for which side",
            "write held_back: {positive: [...], negative: [...]}",
        )
    raise_all([*_unknown(value, KEYS), *_unknown(held_back, SIDES[:2], "held_back.")])
    version = value.get("version", 1)
    if not isinstance(version, int):
        raise SteeringError(f"steering version: {version!r}", "it is no whole number", "write 1")
    return Steering(
        name=str(value.get("name", "own")),
        positive=value.get("positive", ()),
        negative=value.get("negative", ()),
        held_back_positive=_texts(held_back.get("positive"), "held_back.positive"),
        held_back_negative=_texts(held_back.get("negative"), "held_back.negative"),
        version=version,
        about=str(value.get("about", "")),
    )


def _unknown(
    value: Mapping[str, Any], known: Collection[str], prefix: str = ""
) -> list[SteeringError]:
    why, unknown = "there is no such key", [str(key) for key in value if key not in known]
    return [SteeringError(f"steering key {prefix}{k}", why, nearest(k, known)) for k in unknown]


def _phrasings(value: Any, key: str) -> tuple[tuple[str, ...], tuple[Phrasing, ...]]:
    """Sort the entries of one side into prompts and phrasings of other channels."""
    entries = value if isinstance(value, list | tuple) else [] if value is None else [value]
    given = f"steering {key}"
    read = [Phrasing.from_mapping(e, given) if isinstance(e, Mapping) else e for e in entries]
    others = [one for one in read if isinstance(one, Phrasing) and one.channel != SYSTEM]
    texts = [one.system if isinstance(one, Phrasing) else one for one in read if one not in others]
    return _texts(texts, key), tuple(others)


def _texts(value: Any, key: str) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
        raise SteeringError(
            f"steering {key}: {json.dumps(value, default=str)[:80]}",
            "it is neither a text nor a list of texts",
            "write one sentence, or a list of sentences",
        )
    return tuple(t.strip() for t in texts)

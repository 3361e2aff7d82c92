"""What a scorer is: groups in, one score per response out; and what it may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from neat_align.config import NEATSettings
from neat_align.errors import InputError, RewardError
from neat_align.types import Group

if TYPE_CHECKING:
    from neat_align.prompts.steering import Steering

Scores = list[list[float | None]]
"""One list per group, one entry per response."""
OpenModel = Callable[[], AbstractContextManager[Any]]
"""Gives a model for a `with` block."""


class Scorer(Protocol):
    """Scores responses to the clean query (steering prompts are not shown to it).

    `score` returns one list per group with one entry per response; None means that the
    scorer does not apply to that response, `Unscored` that it should have scored it and
    could not. Higher is better.

    A scorer that cannot work alone says so by class attributes (see `Need`), all False where
    they are left out, and has a method `bind(bound)` that returns a scorer that can.
    """

    name: str

    def score(self, groups: Sequence[Group]) -> Scores: ...


class Unscored(float):
    """A score that a scorer owes, and why; as a number NaN, so that it can pass for none.

    Unlike None it leaves the response's group out: a sum without it would rank the response
    by another measure than the others.
    """

    why: str

    def __new__(cls, why: str) -> Unscored:
        found = super().__new__(cls, "nan")
        found.why = why
        return found


class Need(StrEnum):
    """What a scorer may ask for; each is a class attribute, `needs_policy = True`."""

    POLICY = "policy"
    REFERENCE = "reference"
    STEERING = "steering"
    DATA_ANSWERS = "data_answers"


@dataclass(frozen=True)
class Bound:
    """What a caller can give to a scorer that asks for it.

    Attributes:
        policy, reference: give the model for a `with` block; None where there is none.
        prompt_format: the `PromptFormat` of policy and reference.
        steering: the pair.
        data_answers: whether groups hold the answers of the data, as far as is known.
        max_tokens: tokens per forward pass.
    """

    policy: OpenModel | None = None
    reference: OpenModel | None = None
    prompt_format: Any = None
    steering: Steering | None = None
    data_answers: bool = True
    max_tokens: int = NEATSettings.max_tokens_per_pass

    def __getitem__(self, need: Need) -> Any:
        """Return what a scorer needs: it is there, as `bind_scorer` has checked."""
        return getattr(self, need)

    @property
    def has(self) -> frozenset[Need]:
        """List what is there."""
        return frozenset(need for need in Need if getattr(self, need) not in (None, False))


class Takes(StrEnum):
    """What the ARGUMENT of a scorer's name, NAME=ARGUMENT, is."""

    NOTHING = "nothing"
    TEXT = "text"
    FILE = "FILE"
    """A file; or its settings in place, "{…}"."""
    MODEL = "MODEL"
    """What a reward may be, too: a model or a function."""


class NamedScorer:
    """A scorer that users name; the declarations are class attributes.

    Attributes:
        name: what users write: `name`, or `name=ARGUMENT`; also that of its scores.
        about: one line for `neat scorer list`.
        takes: what its argument is.
        usual: the argument where none is given; None where one has to be.
        needs_policy, needs_reference, needs_steering, needs_data_answers: see `Need`.
        own_opinion: a model that is aligned, or its reference, judges itself: its scores are
            no outside figure, and no evaluation shows them.
        reads_source: looks at a response's source, and so cannot tell whether a prompt did
            what it says.
        columns: of the queries that it reads.
    """

    name: str
    about: ClassVar[str]
    takes: ClassVar[Takes] = Takes.NOTHING
    usual: ClassVar[str | None] = None
    needs_policy: ClassVar[bool] = False
    needs_reference: ClassVar[bool] = False
    needs_steering: ClassVar[bool] = False
    needs_data_answers: ClassVar[bool] = False
    own_opinion: ClassVar[bool] = False
    reads_source: ClassVar[bool] = False
    columns: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def make(cls, argument: str, device: Any, dtype: str | None) -> Scorer:
        """Make the scorer.

        Args:
            argument: what stood behind the name, `usual` or "" where nothing did.
            device, dtype: for a model that it loads; see `models.device`.
        """
        return cls()

    @classmethod
    def problems(cls, argument: str) -> list[InputError]:
        """Tell what is wrong with an argument; nothing is imported, loaded or asked for it."""
        return []

    @classmethod
    def content(cls, argument: str, content_of: Callable[[str], Any]) -> Mapping[str, Any]:
        """Tell what decides its scores, for the identity of a run.

        Args:
            content_of: gives the content of what an argument names: a file, a model, code.
        """
        named = {} if cls.takes is Takes.NOTHING else {"argument": content_of(argument)}
        return {"name": cls.name, **named}

    def bind(self, bound: Bound) -> Scorer:
        """Give the scorer what it needs; all of it is there."""
        return self

    def score(self, groups: Sequence[Group]) -> Scores:
        """Score every response of every group.

        Raises:
            RewardError: it scores only as what `bind` makes of it.
        """
        why = "it scores only with what it needs, and has not been given that"
        raise RewardError(f"reward {self.name!r}", why, "call bind_scorer(scorer, Bound(…)) first")

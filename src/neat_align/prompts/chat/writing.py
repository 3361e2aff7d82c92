"""Write conversations as text: by the chat template, or in the plain format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neat_align.errors import DataError, first_line, raise_all
from neat_align.prompts.chat import remarks
from neat_align.prompts.chat.answer import answer_body
from neat_align.prompts.chat.chat_template import ChatTemplate, argument_problems
from neat_align.prompts.chat.conversation import (
    Conversation,
    for_template,
    name_of,
    tools_of,
    turns_of,
)
from neat_align.prompts.chat.forgery import broken, marker_pattern
from neat_align.prompts.chat.frame import framed, left_out, probed_frames
from neat_align.prompts.chat.plain import WAITING, plain_text
from neat_align.prompts.chat.thinking import TAGS
from neat_align.prompts.chat.tokens import Standing, Tokens, with_thoughts
from neat_align.prompts.chat.turn_end import TurnEnd, turn_end
from neat_align.types import Finish, Message, Query

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Writer:
    """Write conversations for one tokenizer.

    Args:
        tokens: of the tokenizer.
        template_kwargs: arguments of the chat template.
        is_policys: whether queries' own arguments are meant for this template.

    Attributes:
        template: None where the tokenizer has none.

    Raises:
        ModelError: the template is broken, or never reads an argument.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tokens: Tokens,
        template_kwargs: Mapping[str, Any],
        is_policys: bool = True,
    ) -> None:
        self.tokens, self.template_kwargs = tokens, dict(template_kwargs)
        self.is_policys = is_policys
        self.name = tokenizer.name_or_path or "this tokenizer"
        has_template = getattr(tokenizer, "chat_template", None) is not None
        self.template = ChatTemplate(tokenizer) if has_template else None
        self._reads = self.template.reads if self.template else frozenset[str]()
        raise_all(argument_problems(self.template_kwargs, self._reads))
        self._ends: dict[str, TurnEnd] = {}
        self._frames: dict[Any, tuple[str, Standing]] = {}
        self._takes_system = self._template_takes_system()
        frames = probed_frames(self._bare)
        self._markers = {
            thinks: marker_pattern(frames, tokens.marks, TAGS if thinks else ())
            for thinks in (False, True)
        }

    # ---------------------------------------------------------------- arguments and the end

    def arguments(self, query: Conversation | None) -> dict[str, Any]:
        """Merge the template's arguments with those of the query.

        Raises:
            DataError: the query has one that its template never reads.
        """
        own = dict(query.template_kwargs) if isinstance(query, Query) else {}
        if not own:
            return self.template_kwargs
        if not self.is_policys:
            own = {name: value for name, value in own.items() if name in self._reads}
        problems = argument_problems(own, self._reads)
        raise_all([DataError(f"{name_of(query)}: {p.given}", p.why, p.fix) for p in problems])
        return {**self.template_kwargs, **own}

    def end(self, arguments: Mapping[str, Any] | None = None) -> TurnEnd:
        """Find the text around an answer, by default with the arguments of every query."""
        if self.template is None:
            return TurnEnd("")
        arguments = self.template_kwargs if arguments is None else arguments
        key = json.dumps(arguments, sort_keys=True, default=str)
        if key not in self._ends:
            self._ends[key] = turn_end(self.template, self.tokens.added, arguments)
        return self._ends[key]

    # ------------------------------------------------------------------------ conversations

    def text(
        self, query: Conversation, steering: str, answer: str | None = None
    ) -> tuple[str, Standing]:
        """Write a conversation, with private-use characters for the special tokens it spells."""
        turns = [self._unmarked(turn) for turn in turns_of(query, answer)]
        return self._write(query, self._steered(turns, steering), prompt=answer is None)

    def frame(
        self, query: Conversation, steering: str, answer: str | None = None
    ) -> tuple[str, Standing]:
        """Write a conversation with a private-use character for each turn's content.

        Raises:
            DataError: the template refuses the conversation, or leaves a part of it out.
        """
        turns = framed(turns_of(query, answer))
        is_plain = not any(turn.extra for turn in turns) and not tools_of(query)
        key = (
            json.dumps(self.arguments(query), sort_keys=True, default=str),
            steering,
            answer is None,
            tuple((turn.role, turn.content) for turn in turns),
        )
        if key in self._frames:
            return self._frames[key]
        written = self._write(query, self._steered(turns, steering), prompt=answer is None)
        self._check_shown(query, turns, written[0])
        if is_plain and self.template is not None:
            self._frames[key] = written
        return written

    def answer(self, text: str, finish: Finish, query: Conversation | None) -> tuple[str, str, str]:
        """Write a response as the template does: what precedes it, itself, and its end."""
        if self.template is None:
            return "", text, ""
        arguments = self.arguments(query)
        end = self.end(arguments)
        body = answer_body(self.template, text, finish, end, arguments)
        return end.prompt, body, end.text if finish == "stop" else ""

    def without_markers(self, text: str, of_model: bool) -> str:
        """Break the frame's plain-text markers in a text."""
        return broken(text, self._markers[of_model])

    # ----------------------------------------------------------------------------- the parts

    def _unmarked(self, turn: Message) -> Message:
        content = self.without_markers(turn.content, turn.role == "assistant")
        return replace(turn, content=content)

    def _write(
        self, query: Conversation, turns: Sequence[Message], prompt: bool
    ) -> tuple[str, Standing]:
        if self.template is None:
            return self.tokens.hidden(plain_text(query, turns) + WAITING)
        given = [[for_template(turn) for turn in turns], tools_of(query)]
        (messages, tools), standing = self.tokens.hidden(given)
        for message in messages:
            if message["role"] == "assistant":
                message["content"] = with_thoughts(message["content"], standing)
        remarks.say_once(*remarks.of_turns(self.template, turns))
        try:
            text = self.template.render(messages, tools, self.arguments(query), prompt)
        except Exception as error:  # templates raise whatever they like to refuse a conversation
            raise DataError(
                name_of(query),
                f"the chat template of {self.name} refuses it: {first_line(error)}",
                "remove the row, or give a conversation in the form that the template takes",
            ) from error
        return text, standing

    def _bare(self, turns: Sequence[Message]) -> str:
        """Write turns as they are; raise whatever the template raises."""
        if self.template is None:
            return plain_text((), [turn for turn in turns if turn.role != "tool"]) + WAITING
        return self.template.render([t.to_json() for t in turns], (), self.template_kwargs)

    def _check_shown(self, query: Conversation, turns: Sequence[Message], text: str) -> None:
        """Raise a `DataError` where the template leaves out a turn, a tool or a call."""
        lost = [] if self.template is None else left_out(query, turns, text)
        if lost:
            raise DataError(
                name_of(query),
                f"the chat template of {self.name} leaves out {', '.join(lost)}",
                "remove the row, or use a template that shows it",
            )

    # --------------------------------------------------------------------------- the steering

    def _steered(self, turns: list[Message], steering: str) -> list[Message]:
        """Put the steering prompt into the system message, or into the first user turn."""
        if self.template is None:
            return [Message("system", steering), *turns] if steering else turns
        first, *rest = turns
        if first.role != "system" or not rest:
            rest, first = turns, Message("system", "")
        elif self._takes_system and not steering:
            return turns
        told = "\n\n".join(text for text in (steering, first.content) if text)
        if not told:
            return rest
        if self._takes_system:
            return [replace(first, content=told), *rest]
        at = next((i for i, turn in enumerate(rest) if turn.role == "user"), 0)
        spoken = replace(rest[at], content=f"{told}\n\n{rest[at].content}")
        return [*rest[:at], spoken, *rest[at + 1 :]]

    def _template_takes_system(self) -> bool:
        """Test whether the template accepts a system message and shows its text."""
        probe = "a7f3 probe"
        turns = [{"role": "system", "content": probe}, {"role": "user", "content": "x"}]
        if self.template is None:
            return True
        try:
            text = self.template.render(turns, (), self.template_kwargs, prompt=False)
        except Exception:  # templates raise whatever they like to refuse a role
            return False
        return probe in text

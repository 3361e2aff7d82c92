r"""How a conversation becomes token ids: the only place where text becomes ids.

With a chat template the tokenizer renders the conversation, and a steering prompt is its
system message (or, where the template refuses one, a prefix of the first user turn, as is a
system message of the data). Without one, the format is stated here:

    [System: {steering}\n\n]Human: {turn}\n\nAssistant: {turn}\n\n … Human: {turn}\n\nAssistant:

and a response follows after one space. Query and response are tokenised apart and their
ids concatenated: tokenising the joined text may merge tokens across the boundary. A response
ends as the template ends the assistant's turn (`turn_end`).

Text of queries and responses is never read as special tokens or as a turn of its own
(`forgery`).
"""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neat_align.chat_template import KWARGS, ChatTemplate, argument_problems
from neat_align.errors import DataError, InputError, ModelError, raise_all
from neat_align.forgery import PLACE, PLACES, broken, hidden, marker_pattern, spelling
from neat_align.thinking import CLOSE, OPEN, TAGS, split_thinking
from neat_align.turn_end import TurnEnd, turn_end
from neat_align.types import Finish, Message, Query

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Conversation = Query | Sequence[Message]
Standing = Mapping[str, str]
"""Private-use character → the text that it stands for."""

FRAME = re.compile(f"[{chr(PLACES[0])}-{chr(PLACES[-1])}]")
WAITING = "\n\nAssistant:"
ROLE_NAMES = {"system": "System", "user": "Human", "assistant": "Assistant"}
PROBES = (
    ("user", "assistant", "user"),
    ("system", "user"),
    ("user", "system", "user"),
    ("user", "assistant", "tool"),
)

logger = logging.getLogger(__name__)


class PromptFormat:
    """Renders queries and responses for one tokenizer.

    Args:
        tokenizer: needs an EOS token, or a chat template that says how a turn ends.
        template_kwargs: passed to the chat template (e.g. `enable_thinking=False`). Those of
            a query (`Query.template_kwargs`) go before them.
        is_policys: whether queries' own arguments are meant for this template. Otherwise
            those that it does not read are left out: a reward model's template need not
            know what the policy's does.
        quiet: say nothing of the format: whoever asks has chosen it.

    Raises:
        ModelError: nothing says how a response ends; the template is broken, or never reads
            an argument.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template_kwargs: Mapping[str, Any] | None = None,
        is_policys: bool = True,
        quiet: bool = False,
    ) -> None:
        self.tokenizer, self.is_policys = tokenizer, is_policys
        self.name = tokenizer.name_or_path or "this tokenizer"
        self.template_kwargs = dict(template_kwargs or {})
        self.has_template = getattr(tokenizer, "chat_template", None) is not None
        self.template = ChatTemplate(tokenizer) if self.has_template else None
        self._reads = self.template.reads if self.template else frozenset[str]()
        raise_all(argument_problems(self.template_kwargs, self._reads))
        # Asked of the tokenizer: a post-processor adds BOS without `add_bos_token` telling.
        bos = tokenizer.bos_token_id
        self._adds_bos = (
            not self.has_template and bos is not None and tokenizer("x")["input_ids"][:1] == [bos]
        )
        self._learn_tokens()
        self._ends: dict[str, TurnEnd] = {}
        self._frames: dict[Any, tuple[str, Standing]] = {}
        self._takes_system = self._template_takes_system()
        self._check_end()
        frames = self._probe_frames()
        self._markers = {
            thinks: marker_pattern(frames, self._marks, TAGS if thinks else ())
            for thinks in (False, True)
        }
        self._spelt = spelling(self._marks)
        _say_once(*([] if quiet else self._remarks()))

    # ------------------------------------------------------------------ what a format tells

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Text that ends a response where no token does."""
        if not self.has_template:
            return ("\n\nHuman:", "\n\nAssistant:")
        stop = self._end().stop
        return (stop,) if stop else ()

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end a response: the turn's end, and the tokenizer's EOS."""
        token, eos = self._end().token, self.tokenizer.eos_token_id
        return frozenset(i for i in (self._added.get(token), eos) if i is not None)

    @property
    def end_ids(self) -> list[int]:
        """What ends a finished response: the turn's end in the template, or EOS."""
        text = self._end().text
        return self._ids(text) if text else [int(self.tokenizer.eos_token_id)]

    @property
    def pad_id(self) -> int:
        """An id to fill rows with; it is masked wherever it stands."""
        eos = self.tokenizer.eos_token_id
        return int(eos) if eos is not None else self.end_ids[-1]

    @property
    def response_prefix(self) -> str:
        """What stands between the prompt and a response's text."""
        return "" if self.has_template else " "

    # ------------------------------------------------------------------- text and token ids

    def render(self, query: Conversation, steering: str = "") -> str:
        """The text that precedes the response, steering prompt included."""
        text, standing = self._write(query, self._turns(query, steering), prompt=True)
        return FRAME.sub(lambda found: standing.get(found[0], found[0]), text)

    def check(self, query: Conversation) -> None:
        """Raise a `DataError` where the template refuses the query, or leaves a part of it out."""
        self._frame(query, "", None)

    def query_ids(self, query: Conversation, steering: str = "") -> list[int]:
        """Token ids of `render`; a BOS is added only where the text does not hold one.

        Raises:
            DataError: the template refuses the conversation, or leaves a part of it out.
        """
        ids = self._conversation(query, steering)
        bos = self.tokenizer.bos_token_id
        return [bos, *ids] if self._adds_bos and ids[:1] != [bos] else ids

    def response_ids(
        self, text: str, finish: Finish, query: Conversation | None = None
    ) -> list[int]:
        """Token ids of a response; its end is appended to a finished one, never to a cut one.

        Args:
            query: what it answers, where that has template arguments of its own.
        """
        text = broken(text, self._markers[True])
        (whole,), standing = hidden([text], self._spelt)
        whole = _with_thoughts(whole, standing)
        if self.template is None:
            ids = self._ids(self.response_prefix + whole, standing)
            return [*ids, *self.end_ids] if finish == "stop" else ids
        arguments = self._arguments(query)
        end = self._end(arguments)
        body = self._body(whole, finish, end, arguments)
        ends = end.text if finish == "stop" else ""
        ids = self._ids_behind(end.prompt, body + ends, standing)
        return [*ids, *self.end_ids] if finish == "stop" and not ends else ids

    def text_ids(self, text: str) -> list[int]:
        """Token ids of a text that answers nothing, with EOS."""
        (whole,), standing = hidden([text], self._spelt)
        return [*self._ids(self.response_prefix + whole, standing), self.pad_id]

    def conversation_ids(self, query: Conversation, answer: str) -> list[int]:
        """Token ids of the finished conversation, just as the template writes it.

        Raises:
            DataError: as for `query_ids`.
        """
        if not self.has_template:
            return self.query_ids(query) + self.response_ids(answer, "stop")
        return self._conversation(query, "", answer)

    def decode(self, ids: Sequence[int], query: Conversation | None = None) -> str:
        """The text of sampled token ids, without special tokens and outer white space.

        Thoughts stay marked as thoughts, also where the prompt itself began them.
        """
        kept = [int(i) for i in ids if int(i) not in self._special_ids]
        text = str(self.tokenizer.decode(kept)).strip()
        opened = self._end(self._arguments(query)).opens_thoughts
        return f"{OPEN}\n{text}" if opened and not text.startswith(OPEN) else text

    # --------------------------------------------------------------------------- assembling

    def _learn_tokens(self) -> None:
        """Which tokens mark turns: the special ones, and others that the template writes."""
        added = self.tokenizer.added_tokens_decoder
        special = {*self.tokenizer.all_special_ids, *(i for i in added if added[i].special)}
        self._added = {str(added[i].content): i for i in added}
        self._added |= {str(self.tokenizer.decode([i])): i for i in special}
        written = str(getattr(self.tokenizer, "chat_template", None) or "")
        self._marks = [
            text
            for text, i in self._added.items()
            if i in special or (text in written and not text.isspace())
        ]
        thoughts = {i for text, i in self._added.items() if text in TAGS}
        self._special_ids = special - thoughts

    def _conversation(
        self, query: Conversation, steering: str, answer: str | None = None
    ) -> list[int]:
        frame, standing = self._frame(query, steering, answer)
        text, own = self._write(query, self._turns(query, steering, answer), answer is None)
        ids = self._ids(text, own)
        if self._count_special(ids) == self._count_special(self._ids(frame, standing)):
            return ids
        turns = [*_messages(query), *([Message("assistant", answer)] if answer is not None else [])]
        contents = {chr(PLACE + i): turn.content for i, turn in enumerate(turns)}
        return self._ids(frame, {**standing, **contents})

    def _turns(
        self, query: Conversation, steering: str, answer: str | None = None
    ) -> list[Message]:
        """What the template is given: steered, and without plain text that marks a turn."""
        turns = [*_messages(query), *([Message("assistant", answer)] if answer is not None else [])]
        return self._steered([self._unmarked(turn) for turn in turns], steering)

    def _frame(
        self, query: Conversation, steering: str, answer: str | None
    ) -> tuple[str, Standing]:
        """A conversation's text with a private-use character for each turn's content."""
        turns = [*_messages(query), *([Message("assistant", answer)] if answer is not None else [])]
        framed = [
            replace(turn, content=chr(PLACE + i)) if turn.content.strip() else turn
            for i, turn in enumerate(turns)
        ]
        is_plain = not any(turn.extra for turn in turns) and not _tools(query)
        key = (
            json.dumps(self._arguments(query), sort_keys=True, default=str),
            steering,
            answer is None,
            tuple((turn.role, turn.content) for turn in framed),
        )
        if key in self._frames:
            return self._frames[key]
        text, standing = self._write(query, self._steered(framed, steering), answer is None)
        self._check_shown(query, framed, text)
        if is_plain and self.has_template:
            self._frames[key] = text, standing
        return text, standing

    def _write(
        self, query: Conversation, turns: Sequence[Message], prompt: bool
    ) -> tuple[str, Standing]:
        """The text, in which private-use characters stand for spelt special tokens."""
        if self.template is None:
            (text,), standing = hidden([plain_text(query, turns) + WAITING], self._spelt)
            return text, standing
        given = [[_for_template(turn) for turn in turns], _tools(query)]
        (messages, tools), standing = hidden(given, self._spelt)
        messages = [
            {**m, "content": _with_thoughts(m["content"], standing)}
            if m["role"] == "assistant"
            else m
            for m in messages
        ]
        _say_once(*self._unread(turns))
        try:
            text = self.template.render(messages, tools, self._arguments(query), prompt)
        except Exception as error:  # templates raise whatever they like to refuse a conversation
            raise DataError(
                _named(query),
                f"the chat template of {self.name} refuses it: {_first_line(error)}",
                "remove the row, or give a conversation in the form that the template takes",
            ) from error
        return text, standing

    def _body(self, text: str, finish: Finish, end: TurnEnd, arguments: Mapping[str, Any]) -> str:
        """The response between the prompt and its end, as the template writes an answer."""
        if end.opens_thoughts:
            if text.startswith(OPEN):
                return text.removeprefix(OPEN).lstrip("\n")
            unthought = finish == "stop" and CLOSE not in text
            return f"\n{CLOSE}\n\n{text}" if unthought else text
        if text.startswith(OPEN) and CLOSE not in text:  # cut within its thoughts
            return text
        assert self.template is not None
        asked = [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}]
        try:
            written = self.template.render(asked, (), arguments, prompt=False)
        except Exception:  # a template that refuses answers leaves them as they are
            return text
        if not end.text or not written.startswith(end.prompt):
            return text
        body = written[len(end.prompt) :].rpartition(end.text)[0]
        return body if all(part in body for part in split_thinking(text.strip())) else text

    def _ids_behind(self, prompt: str, text: str, standing: Standing) -> list[int]:
        """Token ids of a text behind a prompt, of which none reaches over the boundary."""
        starts = [prompt.rfind(token) for token in self._added if token in prompt]
        before = prompt[max(starts, default=0) :]
        head, whole = self._ids(before), self._ids(before + text, standing)
        return whole[len(head) :] if whole[: len(head)] == head else self._ids(text, standing)

    def _ids(self, text: str, standing: Standing | None = None) -> list[int]:
        """Token ids; what characters stand for is read as the characters it is spelt with."""
        if not standing:
            return self._encode(text)
        ids, end = list[int](), 0
        for place in re.finditer(f"[{''.join(standing)}]", text):
            ids += self._encode(text[end : place.start()])
            ids += self._spelt_ids(standing[place[0]])
            end = place.end()
        return ids + self._encode(text[end:])

    def _encode(self, text: str, **options: bool) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, **options)["input_ids"]
        return ids

    def _spelt_ids(self, text: str) -> list[int]:
        """Token ids of the characters of a text, whatever token it spells."""
        if text in self._added and self._added[text] not in self._special_ids:
            return [i for part in (text[:1], text[1:]) for i in self._encode(part)]
        return self._encode(text, split_special_tokens=True)

    def _count_special(self, ids: Sequence[int]) -> int:
        return sum(i in self._special_ids for i in ids)

    def _unmarked(self, message: Message) -> Message:
        """The message without anything that passes for the frame's plain markers."""
        markers = self._markers[message.role == "assistant"]
        return replace(message, content=broken(message.content, markers))

    # ----------------------------------------------------------------- arguments, checks

    def _arguments(self, query: Conversation | None) -> dict[str, Any]:
        """The template's arguments for a query.

        Raises:
            DataError: the query has one that its template never reads.
        """
        own = dict(query.template_kwargs) if isinstance(query, Query) else {}
        if not own:
            return self.template_kwargs
        if not self.is_policys:
            own = {name: value for name, value in own.items() if name in self._reads}
        problems = argument_problems(own, self._reads)
        raise_all([DataError(f"{_named(query)}: {p.given}", p.why, p.fix) for p in problems])
        return {**self.template_kwargs, **own}

    def _end(self, arguments: Mapping[str, Any] | None = None) -> TurnEnd:
        if self.template is None:
            return TurnEnd("")
        arguments = self.template_kwargs if arguments is None else arguments
        key = json.dumps(arguments, sort_keys=True, default=str)
        if key not in self._ends:
            self._ends[key] = turn_end(self.template, self._added, arguments)
        return self._ends[key]

    def _check_end(self) -> None:
        try:
            text = self._end().text
        except InputError:
            raise
        except Exception as error:  # templates raise whatever they like
            raise ModelError(
                f"the chat template of {self.name}",
                f"it cannot write a single user turn: {_first_line(error)}",
                "correct it (chat_template.jinja, or chat_template in tokenizer_config.json)",
            ) from error
        if not text and self.tokenizer.eos_token_id is None:
            raise ModelError(
                f"a tokenizer without an EOS token ({self.name})",
                "a finished response is marked by EOS; without it the model never learns to stop",
                "set tokenizer.eos_token before training",
            )

    def _check_shown(self, query: Conversation, framed: Sequence[Message], text: str) -> None:
        """Raise a `DataError` where the template leaves out a turn, a tool or a call."""
        if self.template is None:
            return
        lost = [
            f"turn {i} ({turn.role})"
            for i, turn in enumerate(framed, 1)
            if FRAME.fullmatch(turn.content) and turn.content not in text
        ]
        lost += [f"the tool {n!r}" for n in map(_called, _tools(query)) if n not in text]
        calls = [call for turn in framed for call in turn.extra.get("tool_calls", ())]
        lost += [f"the call of {n!r}" for n in map(_called, calls) if n not in text]
        if lost:
            raise DataError(
                _named(query),
                f"the chat template of {self.name} leaves out {', '.join(lost)}",
                "remove the row, or use a template that shows it",
            )

    def _unread(self, turns: Sequence[Message]) -> list[str]:
        assert self.template is not None
        return [
            f"the chat template of {self.name} never reads {key!r}, which turns of the data hold"
            for key in sorted({key for turn in turns for key in turn.extra})
            if key not in self.template.keys and key != "tool_call_id"
        ]

    def _probe_frames(self) -> list[str]:
        """The texts around contents, of conversations that show every role's marks."""
        found: list[str] = []
        for roles in PROBES:
            turns = [Message(role, chr(PLACE + i)) for i, role in enumerate(roles)]
            try:
                if self.template is None:
                    told = [turn for turn in turns if turn.role != "tool"]
                    text = plain_text((), told) + WAITING
                else:
                    given = [turn.to_json() for turn in turns]
                    text = self.template.render(given, (), self.template_kwargs)
            except Exception:  # templates raise whatever they like to refuse a role
                continue
            found += FRAME.split(text)
        return found

    def _steered(self, messages: Sequence[Message], steering: str) -> list[Message]:
        """The turns with the steering prompt, and with a system message where it can stand."""
        if self.template is None:
            return [Message("system", steering), *messages] if steering else list(messages)
        first, *rest = messages
        if first.role != "system" or not rest:
            rest, first = list(messages), Message("system", "")
        elif self._takes_system and not steering:
            return list(messages)
        told = "\n\n".join(text for text in (steering, first.content) if text)
        if not told:
            return rest
        if self._takes_system:
            return [replace(first, content=told), *rest]
        at = next((i for i, turn in enumerate(rest) if turn.role == "user"), 0)
        rest[at] = replace(rest[at], content=f"{told}\n\n{rest[at].content}")
        return rest

    def _template_takes_system(self) -> bool:
        """Whether the template accepts a system message and shows its text."""
        if self.template is None:
            return True
        probe = "a7f3 probe"
        turns = [{"role": "system", "content": probe}, {"role": "user", "content": "x"}]
        try:
            text = self.template.render(turns, (), self.template_kwargs, prompt=False)
        except Exception:  # templates raise whatever they like to refuse a role
            return False
        return probe in text

    def _remarks(self) -> list[str]:
        """What a user should know of how this tokenizer's conversations are written."""
        if self.template is None:
            return [
                f"{self.name} has no chat template: conversations are written "
                "as Human: … and Assistant: …"
            ]
        end, eos, remarks = self._end(), self.tokenizer.eos_token, list[str]()
        if not end.text:
            remarks.append(
                f"the chat template of {self.name} puts nothing behind an answer: "
                f"responses end with the tokenizer's EOS, {eos!r}"
            )
        elif end.token != eos:
            remarks.append(
                f"the chat template of {self.name} ends a turn with {end.text.strip()!r}, and the "
                f"tokenizer's EOS is {eos!r}: sampling stops at both, training ends with the former"
            )
        if self.template.writes_date and "date_string" not in self.template_kwargs:
            remarks.append(
                f"the chat template of {self.name} writes the date: it is today's in this process; "
                f"give {KWARGS}: {{date_string: …}} to have the same one another day"
            )
        return remarks


def conversation_problems(
    queries: Iterable[Query], prompt_format: PromptFormat, shown: int = 5
) -> list[InputError]:
    """What a template refuses, of the first few queries that it does, before any is sampled."""
    problems: list[InputError] = []
    for query in queries:
        try:
            prompt_format.check(query)
        except InputError as error:
            problems.append(error)
            if len(problems) == shown:
                break
    return problems


@functools.cache
def _said(remark: str) -> None:
    logger.warning(remark)


def _say_once(*remarks: str) -> None:
    """Each remark once in a process."""
    for remark in remarks:
        _said(remark)


def _messages(query: Conversation) -> Sequence[Message]:
    return query.messages if isinstance(query, Query) else query


def _tools(query: Conversation | None) -> Sequence[Mapping[str, Any]]:
    return query.tools if isinstance(query, Query) else ()


def _named(query: Conversation | None) -> str:
    return query.named if isinstance(query, Query) else "a conversation"


def _called(tool: Mapping[str, Any]) -> str:
    """The name of the function that a tool describes or a call calls; "" without one."""
    function = tool.get("function", tool)
    return str(function.get("name", "")) if isinstance(function, Mapping) else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _with_thoughts(text: str, standing: Standing) -> str:
    """The text with the tags of thoughts as themselves again."""
    for character, token in standing.items():
        if token in TAGS:
            text = text.replace(character, token)
    return text


def _for_template(turn: Message) -> dict[str, Any]:
    """The turn with the arguments of its calls as mappings, as chat templates expect them."""
    record = turn.to_json()
    if "tool_calls" in record:
        record["tool_calls"] = [_with_arguments_read(call) for call in record["tool_calls"]]
    return record


def _with_arguments_read(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call whose arguments, where they are JSON text, are what the text says."""
    if isinstance(call.get("function"), Mapping):
        return {**call, "function": _with_arguments_read(call["function"])}
    if not isinstance(call.get("arguments"), str):
        return dict(call)
    try:
        return {**call, "arguments": json.loads(call["arguments"])}
    except ValueError:
        return dict(call)


def plain_text(query: Conversation, turns: Sequence[Message]) -> str:
    """The turns in the Human/Assistant format.

    Raises:
        DataError: it has no place for tools, calls and their results.
    """
    unknown = [m.role for m in turns if m.role not in ROLE_NAMES]
    if _tools(query) or unknown or any("tool_calls" in m.extra for m in turns):
        raise DataError(
            _named(query),
            "it holds tools or tool calls, and the model has no chat template to write them",
            "remove the row, or use a model with a chat template for tools",
        )
    return "\n\n".join(f"{ROLE_NAMES[m.role]}: {m.content}" for m in turns)

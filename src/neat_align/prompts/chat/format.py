"""Turn queries and responses into token ids for one tokenizer, and ids back into text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neat_align.errors import InputError, ModelError, first_line
from neat_align.prompts.chat import remarks
from neat_align.prompts.chat.conversation import Conversation, turns_of
from neat_align.prompts.chat.frame import contents, filled
from neat_align.prompts.chat.plain import STOPS
from neat_align.prompts.chat.thinking import CLOSE, OPEN
from neat_align.prompts.chat.tokens import Tokens, with_thoughts
from neat_align.prompts.chat.writing import Writer
from neat_align.types import Finish, Query

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BETWEEN_TEXTS = "<|endoftext|>"


class PromptFormat:
    """Render queries and responses for one tokenizer.

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
        self.tokenizer, self._tokens = tokenizer, Tokens(tokenizer)
        self._writer = Writer(tokenizer, self._tokens, template_kwargs or {}, is_policys)
        self.has_template = self._writer.template is not None
        # Asked of the tokenizer: a post-processor adds BOS without `add_bos_token` telling.
        bos = tokenizer.bos_token_id
        self._adds_bos = (
            not self.has_template and bos is not None and tokenizer("x")["input_ids"][:1] == [bos]
        )
        self._check_end()
        if not quiet:
            self._remark()

    # ------------------------------------------------------------------ what a format tells

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Texts that end a response where no token does."""
        if not self.has_template:
            return STOPS
        stop = self._writer.end().stop
        return (stop,) if stop else ()

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end a response: the turn's end, and the tokenizer's EOS."""
        token, eos = self._writer.end().token, self.tokenizer.eos_token_id
        return frozenset(i for i in (self._tokens.added.get(token), eos) if i is not None)

    @property
    def end_ids(self) -> list[int]:
        """Token ids that end a finished response: the template's end of turn, or EOS."""
        text = self._writer.end().text
        return self._tokens.ids(text) if text else [int(self.tokenizer.eos_token_id)]

    @property
    def pad_id(self) -> int:
        """The id that fills rows; it is masked wherever it stands."""
        eos = self.tokenizer.eos_token_id
        return int(eos) if eos is not None else self.end_ids[-1]

    @property
    def text_start(self) -> int:
        """The id before a text that no template frames.

        BOS, where the tokenizer adds it itself; else <|endoftext|>, which parted the texts of
        pretraining, where it is known: the BOS of many a chat model opens a turn, and a bare
        sentence behind it is a surprise. Else BOS, or EOS.
        """
        bos = self.tokenizer.bos_token_id
        own = self.tokenizer("x")["input_ids"][:1] == [bos]
        known = bos if own else self._tokens.added.get(BETWEEN_TEXTS, bos)
        return self.pad_id if known is None else int(known)

    @property
    def response_prefix(self) -> str:
        """The text between the prompt and a response."""
        return "" if self.has_template else " "

    # ------------------------------------------------------------------- text and token ids

    def render(self, query: Conversation, steering: str = "") -> str:
        """Render the text that precedes the response, steering prompt included."""
        return filled(*self._writer.text(query, steering))

    def check(self, query: Conversation) -> None:
        """Raise a `DataError` where the template refuses the query, or leaves a part of it out."""
        self._writer.frame(query, "")

    def query_ids(self, query: Conversation, steering: str = "") -> list[int]:
        """Tokenise what `render` gives; a BOS is added only where the text does not hold one.

        Raises:
            DataError: the template refuses the conversation, or leaves a part of it out.
        """
        ids = self._conversation(query, steering)
        bos = self.tokenizer.bos_token_id
        return [bos, *ids] if self._adds_bos and ids[:1] != [bos] else ids

    def response_ids(
        self, text: str, finish: Finish, query: Conversation | None = None
    ) -> list[int]:
        """Tokenise a response; its end is appended to a finished one, never to a cut one.

        Args:
            query: what it answers, where that has template arguments of its own.
        """
        (whole,), standing = self._tokens.hidden([self._writer.without_markers(text, True)])
        whole = with_thoughts(whole, standing)
        if not self.has_template:
            ids = self._tokens.ids(self.response_prefix + whole, standing)
            return [*ids, *self.end_ids] if finish == "stop" else ids
        prompt, body, ends = self._writer.answer(whole, finish, query)
        ids = self._tokens.ids_behind(prompt, body + ends, standing)
        return [*ids, *self.end_ids] if finish == "stop" and not ends else ids

    def prefix_ids(self, prefix: str, query: Conversation | None = None) -> list[int]:
        """Tokenise how an answer begins, for the model to go on from there.

        It follows the ids of the query, so no template needs to know how to continue a turn.
        Where thoughts are open they are closed: the prefix is the answer's.
        """
        (whole,), standing = self._tokens.hidden([self._writer.without_markers(prefix, True)])
        prompt, body, _ = self._writer.answer(whole, "stop", query)
        return self._tokens.ids_behind(prompt, self.response_prefix + body, standing)

    def text_ids(self, text: str) -> list[int]:
        """Tokenise a text that answers nothing, with EOS."""
        (whole,), standing = self._tokens.hidden([text])
        return [*self._tokens.ids(self.response_prefix + whole, standing), self.pad_id]

    def bare_ids(self, start: str, texts: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Tokenise a text that no template frames, and texts that go on from it.

        Before it stands one token, since something has to predict the first one (`text_start`).
        """
        (start, *texts), standing = self._tokens.hidden([start, *texts])
        head = [self.text_start, *self._tokens.ids(start, standing)]
        return head, [self._tokens.ids_behind(start, text, standing) for text in texts]

    def conversation_ids(self, query: Conversation, answer: str) -> list[int]:
        """Tokenise a finished conversation, just as the template writes it.

        Raises:
            DataError: as for `query_ids`.
        """
        if not self.has_template:
            return self.query_ids(query) + self.response_ids(answer, "stop")
        return self._conversation(query, "", answer)

    def decode(self, ids: Sequence[int], query: Conversation | None = None) -> str:
        """Decode sampled token ids, without special tokens and outer white space.

        Thoughts stay marked as thoughts, also where the prompt itself began them, or where a
        channel of their own holds them.
        """
        end = self._writer.end(self._writer.arguments(query))
        thoughts, text = self._tokens.told(ids, end.lead)
        if thoughts:
            return f"{OPEN}\n{thoughts}" + (f"\n{CLOSE}\n\n{text}" if text else "")
        opened = end.opens_thoughts and not text.startswith(OPEN)
        return f"{OPEN}\n{text}" if opened else text

    # ---------------------------------------------------------------------------- the parts

    def _conversation(
        self, query: Conversation, steering: str, answer: str | None = None
    ) -> list[int]:
        """Tokenise a conversation so that its contents add no special token to its frame."""
        tokens = self._tokens
        frame, standing = self._writer.frame(query, steering, answer)
        ids = tokens.ids(*self._writer.text(query, steering, answer))
        if tokens.count_special(ids) == tokens.count_special(tokens.ids(frame, standing)):
            return ids
        return tokens.ids(frame, {**standing, **contents(turns_of(query, answer))})

    def _check_end(self) -> None:
        try:
            text = self._writer.end().text
        except InputError:
            raise
        except Exception as error:  # templates raise whatever they like
            raise ModelError(
                f"the chat template of {self._writer.name}",
                f"it cannot write a single user turn: {first_line(error)}",
                "correct it (chat_template.jinja, or chat_template in tokenizer_config.json)",
            ) from error
        if not text and self.tokenizer.eos_token_id is None:
            raise ModelError(
                f"a tokenizer without an EOS token ({self._writer.name})",
                "a finished response is marked by EOS; without it the model never learns to stop",
                "set tokenizer.eos_token before training",
            )

    def _remark(self) -> None:
        writer, eos = self._writer, self.tokenizer.eos_token
        if writer.template is None:
            remarks.say_once(remarks.NO_TEMPLATE.format(writer.name))
        else:
            told = remarks.of_template(writer.template, writer.end(), eos, writer.template_kwargs)
            remarks.say_once(*told)


def conversation_problems(
    queries: Iterable[Query], prompt_format: PromptFormat, shown: int = 5
) -> list[InputError]:
    """List an error for each of the first few queries that the template refuses."""
    problems: list[InputError] = []
    for query in queries:
        try:
            prompt_format.check(query)
        except InputError as error:
            problems.append(error)
            if len(problems) == shown:
                break
    return problems

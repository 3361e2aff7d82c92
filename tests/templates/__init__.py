"""Chat templates in the documented formats of well-known models, with small tokenizers.

Each template is written down from its model's documented format; the tokenizer is a small
one that has the tokens of that format.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

CHATML = ("<|im_start|>", "<|im_end|>")
HERMES = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
THINK = ("<think>", "</think>")


@dataclass(frozen=True)
class Format:
    """What a model's tokenizer has.

    Attributes:
        special: special tokens beside BOS and EOS.
        added: tokens that are no special ones.
        end: the token that ends the assistant's turn.
    """

    eos: str
    end: str
    special: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    bos: str | None = None


FORMATS = {
    "llama3": Format(
        "<|end_of_text|>",
        "<|eot_id|>",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
    ),
    "qwen2_5": Format("<|endoftext|>", "<|im_end|>", CHATML, HERMES[:2]),
    "qwen3": Format("<|im_end|>", "<|im_end|>", CHATML, (*HERMES, *THINK)),
    "gemma3": Format("<eos>", "<end_of_turn>", ("<start_of_turn>", "<end_of_turn>"), bos="<bos>"),
    "gemma2": Format("<eos>", "<end_of_turn>", ("<start_of_turn>", "<end_of_turn>"), bos="<bos>"),
    "mistral": Format(
        "</s>",
        "</s>",
        (
            "[INST]",
            "[/INST]",
            "[AVAILABLE_TOOLS]",
            "[/AVAILABLE_TOOLS]",
            "[TOOL_CALLS]",
            "[TOOL_RESULTS]",
            "[/TOOL_RESULTS]",
        ),
        bos="<s>",
    ),
    "smollm2": Format("<|im_end|>", "<|im_end|>", CHATML),
    "phi3": Format(
        "<|endoftext|>", "<|end|>", ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
    ),
    "phi4": Format("<|endoftext|>", "<|im_end|>", (*CHATML, "<|im_sep|>")),
    "deepseek_r1": Format(
        "<｜end▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        ("<｜User｜>", "<｜Assistant｜>"),
        THINK,
        bos="<｜begin▁of▁sentence｜>",
    ),
    "deepseek_v3": Format(
        "<｜end▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        ("<｜User｜>", "<｜Assistant｜>"),
        bos="<｜begin▁of▁sentence｜>",
    ),
}


def template_text(name: str) -> str:
    """Read the Jinja source of a format."""
    return (Path(__file__).parent / f"{name}.jinja").read_text(encoding="utf-8").removesuffix("\n")


@functools.cache
def template_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """Make a small tokenizer with a format's tokens and template; shared, so leave it alone."""
    return new_tokenizer(name)


def new_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """As `template_tokenizer`, one's own."""
    from tests.conftest import make_tokenizer

    form = FORMATS[name]
    backend = make_tokenizer().backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=form.eos, bos_token=form.bos
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(form.special)})
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in form.added])
    tokenizer.chat_template = template_text(name)
    return tokenizer

"""Train a small language model from scratch: tokenizer, Llama, next-token loss.

For the demo's world, and for tiny runs on real text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from neat_align import defaults
from neat_align.models.tokenized import document_ids
from neat_align.pretraining.trainer import SmallTrainer, small_arguments, train_and_save
from neat_align.prompts.chat import PromptFormat
from neat_align.training.checkpoints import training_folder
from neat_align.training.precision import Precision
from neat_align.types import Document

EOS, PAD = "<|end|>", "<|pad|>"
Row = dict[str, list[Any]]
"""`input_ids` of a document, and in `weights` each token's weight in the loss."""


@dataclass(frozen=True)
class LanguageModelSettings:
    """Size and schedule of a from-scratch model.

    Attributes:
        prompt_weight: weight of the query's tokens in the loss; the answer's weigh 1.
        max_length: longer documents lose their beginning, in tokens.
        chat_template: Jinja template to give the tokenizer; None leaves it without one.
    """

    hidden_size: int = defaults.LM_HIDDEN_SIZE
    layers: int = defaults.LM_LAYERS
    heads: int = defaults.LM_HEADS
    intermediate_size: int = defaults.LM_INTERMEDIATE_SIZE
    vocab_size: int = defaults.LM_VOCAB_SIZE
    max_length: int = defaults.LM_MAX_LENGTH
    steps: int = defaults.LM_STEPS
    batch_size: int = defaults.LM_BATCH_SIZE
    learning_rate: float = defaults.LM_LEARNING_RATE
    prompt_weight: float = defaults.LM_PROMPT_WEIGHT
    seed: int = 0
    chat_template: str | None = None


def train_language_model(
    documents: Sequence[Document],
    output_dir: Path,
    settings: LanguageModelSettings,
    precision: Precision | None = None,
) -> Path:
    """Train a tokenizer and a Llama on `documents`, and save both in `output_dir`.

    The documents are read as often as `settings.steps` needs. The same documents, settings
    and thread count give the same weights, even if the training was interrupted: called again,
    it goes on from its last checkpoint.
    """
    set_seed(settings.seed)
    tokenizer = train_tokenizer(documents, settings)
    prompt_format = PromptFormat(tokenizer, quiet=True)
    rows = [encode_document(d, prompt_format, settings) for d in documents]
    trainer = LanguageModelTrainer(
        lengths=[len(row["input_ids"]) for row in rows],
        model=LlamaForCausalLM(_llama(tokenizer, settings)),
        args=small_arguments(
            training_folder(output_dir, settings, rows),
            precision or Precision.of(),
            max_steps=settings.steps,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=settings.steps // 20,
            adam_beta2=0.99,
            weight_decay=0.0,
            seed=settings.seed,
        ),
        train_dataset=rows,
        data_collator=pad_rows,
    )
    train_and_save(trainer, tokenizer, output_dir)
    return output_dir


class LanguageModelTrainer(SmallTrainer):
    """A next-token loss with a weight per token."""

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the mean negative log-likelihood per unit of weight, in nats.

        Args:
            model: the language model.
            inputs: `input_ids` and `weights`, [B, L] each.
        """
        ids, weights = inputs["input_ids"], inputs["weights"][:, 1:]
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        nll = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        return (nll * weights.flatten()).sum() / weights.sum()


def encode_document(
    document: Document, prompt_format: PromptFormat, settings: LanguageModelSettings
) -> Row:
    """Tokenise a document, and weigh each token in the loss."""
    prompt, answer = document_ids(document, prompt_format)
    ids = (prompt + answer)[-settings.max_length :]
    weights = ([settings.prompt_weight] * len(prompt) + [1.0] * len(answer))[-len(ids) :]
    return {"input_ids": ids, "weights": weights}


def pad_rows(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Pad rows on the right to `input_ids` and `weights`, [B, L] each.

    Padding has weight 0, and causal attention never looks ahead to it.
    """
    width = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    weights = torch.zeros((len(rows), width))
    for i, row in enumerate(rows):
        ids[i, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
        weights[i, : len(row["weights"])] = torch.tensor(row["weights"])
    return {"input_ids": ids, "weights": weights}


def train_tokenizer(
    documents: Sequence[Document], settings: LanguageModelSettings
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with one EOS and one PAD token on `documents`.

    It learns from the text as models will see it, prompt format included.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        special_tokens=[EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    untrained = PromptFormat(_wrap(bpe, settings), quiet=True)
    bpe.train_from_iterator((_rendered(d, untrained) for d in documents), trainer)
    return _wrap(bpe, settings)


def _wrap(bpe: Tokenizer, settings: LanguageModelSettings) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=EOS, pad_token=PAD, padding_side="left"
    )
    tokenizer.chat_template = settings.chat_template
    return tokenizer


def _rendered(document: Document, prompt_format: PromptFormat) -> str:
    if document.query is None:
        return document.text
    prompt = prompt_format.render(document.query.messages, document.steering)
    return prompt + prompt_format.response_prefix + document.text


def _llama(tokenizer: PreTrainedTokenizerFast, settings: LanguageModelSettings) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        intermediate_size=settings.intermediate_size,
        max_position_embeddings=max(512, 2 * settings.max_length),
        tie_word_embeddings=False,
        initializer_range=0.05,  # the usual 0.02 is for wide models; small ones learn slowly
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )

"""Small real parts that many tests share: a tokenizer, random models, a steering pair."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
# Two workers share the cores, and the processes that tests start inherit this: one thread each.
for _name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "RAYON"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

SHARED = Path(__file__).resolve().parents[2] / "shared"

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets; skip the test if a clone stands alone."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared data folder does not lie beside this clone")
    return SHARED / "data"


def stable_id(value: object) -> str:
    """Write a parameter without addresses, which differ between the workers of one run."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def make_tokenizer(chat_template: str | None = None, texts: list[str] | None = None):
    from neat_align.pretraining.language_model import LanguageModelSettings, train_tokenizer
    from neat_align.types import Document

    words = texts or ["how do I clean the lamp with a cloth and polish my own kettle today"] * 3
    settings = LanguageModelSettings(vocab_size=400, chat_template=chat_template)
    return train_tokenizer([Document(None, text) for text in words], settings)


@pytest.fixture(scope="session")
def tokenizer():
    """Byte-level BPE with a chat template that takes a system message."""
    return make_tokenizer(CHAT_TEMPLATE)


@pytest.fixture(scope="session")
def plain_tokenizer():
    """Make the same tokenizer without a chat template."""
    return make_tokenizer()


def make_llama(tokenizer, seed: int = 0, **sizes):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 256,
        **sizes,
    }
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
        **sizes,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def model(tokenizer):
    return make_llama(tokenizer)


@pytest.fixture
def model_dir(tmp_path, tokenizer) -> Path:
    """Save a random model as users have it: config, safetensors, tokenizer."""
    path = tmp_path / "model"
    make_llama(tokenizer).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def steering():
    from neat_align.prompts.steering import Steering

    return Steering("test", ("Be kind.", "Be good."), ("Be mean.", "Be bad."))


@pytest.fixture
def queries():
    from neat_align.types import Query

    things = ("lamp", "kettle", "cloth", "lamp and kettle", "clean cloth", "own lamp")
    return [Query.from_text(f"how do I polish the {thing}?") for thing in things]

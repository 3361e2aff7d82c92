"""Load a GGUF file as an ordinary model: all weights dequantised, nothing left of the file.

transformers' own loader reads it, dequantises in float32, and casts to the dtype that is asked
for. What it returns says of itself that it is quantised, cannot be saved and is not to be
trained; so its weights are put into a fresh model of the same config without that section.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def load_gguf(auto_class: Any, path: Path, quiet: bool, **options: Any) -> Any:
    """Load what one of transformers' Auto classes finds in a GGUF file.

    Args:
        auto_class: AutoConfig, AutoTokenizer, or a class of models.
        quiet: whether to show no bar.
        options: of its `from_pretrained`.

    Returns:
        What that returns, a model being an ordinary one.
    """
    # Absolute: of a bare name transformers first looks for a file where one stands.
    named = {"gguf_file": str(path.absolute()), **options}
    if auto_class.__name__ in READ_ALONE:
        found = auto_class.from_pretrained(str(path.parent), **named)
        return READ_ALONE[auto_class.__name__](found)
    from transformers import GgufConfig

    named["quantization_config"] = GgufConfig(dequantize=True)  # else it may stay in its blocks
    with _without_bars() if quiet else contextlib.nullcontext():
        found = auto_class.from_pretrained(str(path.parent), **named)
    if isinstance(found, tuple):  # with what was loaded and what was not
        return _ordinary(found[0], path), *found[1:]
    return _ordinary(found, path)


def _ordinary(model: Any, path: Path) -> Any:
    from transformers.initialization import no_init_weights

    config = _without_section(copy.deepcopy(model.config))
    with no_init_weights():
        fresh = type(model)._from_config(config, dtype=model.dtype)
    fresh.load_state_dict(model.state_dict(), assign=True)
    fresh.tie_weights()
    if model.can_generate():
        fresh.generation_config = model.generation_config
    fresh.name_or_path = fresh.config._name_or_path = str(path)
    # peft looks for a config.json in the base of each adapter that it saves; a file has none.
    warnings.filterwarnings("ignore", r"Could not find a config file in .*\.gguf")
    return fresh.eval()


def _without_section(config: Any) -> Any:
    """Take out what says that the weights are quantised."""
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def _of_the_file(tokenizer: Any) -> Any:
    """Take out what transformers adds to a file's vocabulary: the model has no embedding for it.

    A file of Llama 3 comes with one more token, `<|endoftext|>`.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    size = tokenizer.backend_tokenizer.get_vocab_size(with_added_tokens=False)
    own = [token for token in state["added_tokens"] if token["id"] < size]
    if len(own) < len(state["added_tokens"]):
        text = json.dumps({**state, "added_tokens": own})
        tokenizer._tokenizer = type(tokenizer.backend_tokenizer).from_str(text)
    return tokenizer


READ_ALONE = {"AutoConfig": _without_section, "AutoTokenizer": _of_the_file}
"""Class that reads no weights → what is done to what it finds."""


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """Hide the bar of the dequantisation, which obeys no setting of transformers."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield

"""A server as the engine, given each new adapter while it runs (LoRA hot-loading).

Only the adapter moves, a few megabytes: it is saved where the server can read it, the server
is told to load it, and the former one is unloaded. vLLM serves this way when started with
`--enable-lora` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True. Prompts go out as token ids and
responses come back as token ids, so both sides speak of the same tokens.

Tested against a server of the tests' own that holds a real model, and, in the nightly tests,
against a real vLLM on a CPU. Not run on any GPU.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from neat_align.errors import UnansweredError
from neat_align.sampling.base import Decoding
from neat_align.servers.answers import LENGTH, STOP, parse_body
from neat_align.servers.client import ChatClient
from neat_align.servers.journal import ask_all
from neat_align.training.engines.base import Drawn

CONCURRENCY = 64


class AdapterServer:
    """Draws from a server that holds the base model and loads adapters.

    Args:
        url: up to and including the version, e.g. http://localhost:8000/v1.
        model: the policy, with its adapter, unwrapped.
        accelerator: of the trainer.
        directory: where adapters are saved; the server must see it under the same path.

    Raises:
        RecipeError: an address that is none.
        ServerError: the server refused an adapter, or failed for good.
    """

    repeats_seeds = True

    def __init__(self, url: str, model: Any, accelerator: Any, directory: Path) -> None:
        self.client = ChatClient(url, model="")
        self.model, self.accelerator = model, accelerator
        self.directory = directory.resolve()
        # A server keeps its adapters when a run ends, so names are never used twice.
        self.run = uuid.uuid4().hex[:12]
        self.loaded = 0

    def renew(self) -> None:
        """Save the adapter, have it loaded, and the former one unloaded and removed."""
        self.loaded += 1
        names = [f"neat-{self.run}-{self.loaded}"]
        if self.accelerator.is_main_process:
            self._load(names[0])
        broadcast_object_list(names)  # the others wait for it, too
        former, self.client.model = self.client.model, names[0]
        self._unload(former)

    def close(self) -> None:
        """Unload the last adapter, too."""
        self._unload(self.client.model)
        self.client.model = ""

    def _unload(self, name: str) -> None:
        if name and self.accelerator.is_main_process:
            self.client.post("unload_lora_adapter", {"lora_name": name}, str)
            shutil.rmtree(self.directory / name)

    def _load(self, name: str) -> None:
        path = self.directory / name
        self.model.save_pretrained(path)
        body = {"lora_name": name, "lora_path": str(path)}
        self.client.post("load_lora_adapter", body, str)

    def draw(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        decoding: Decoding,
        stop_token_ids: Sequence[int],
        stop_strings: Sequence[str],
    ) -> list[Drawn | UnansweredError]:
        """One response for each prompt, many asked for at a time; one refused stops no other.

        Raises:
            ServerError: the server answers nothing any more.
        """
        options = {
            "model": self.client.model,
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k,
            "min_p": decoding.min_p,
            "stop_token_ids": list(stop_token_ids),
            "stop": list(stop_strings),
            "repetition_penalty": 1.0,  # else that of the served model's generation_config
            "logprobs": 0,
            "return_token_ids": True,
            "add_special_tokens": False,
        }

        def ask(i: int) -> Drawn | UnansweredError:
            body = {**options, "prompt": list(prompts[i]), "seed": seeds[i] % 2**31}
            try:
                drawn = self.client.post("completions", body, _drawn)
            except UnansweredError as error:
                return error
            self.client.patience.answered()
            return drawn

        answers = ask_all(ask, range(len(prompts)), CONCURRENCY)
        return [answers[i] for i in range(len(prompts))]


def _drawn(text: str) -> Drawn:
    """Return the first choice that the model ended, or that was cut at its limit.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is none, without token ids, or stopped
            for another reason (abort, error): half an answer is not to be trained on.
    """
    choice = parse_body(text.encode())["choices"][0]
    if choice["finish_reason"] not in (STOP, LENGTH):
        raise ValueError(f"finish reason {choice['finish_reason']}")
    ids = [int(i) for i in choice["token_ids"]]
    return Drawn(ids, [float(value) for value in choice["logprobs"]["token_logprobs"]])

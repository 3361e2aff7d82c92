"""vLLM as the engine, by TRL's `VLLMGeneration`: in the trainer's processes, or a server.

TRL moves the weights. Not run on any GPU yet. The tests put a stand-in with the same
interface in its place; the nightly ones run a real vLLM, in the process, on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accelerate.utils import gather_object

from neat_align.errors import TrainingError
from neat_align.sampling.base import Decoding
from neat_align.training.engines.base import Drawn


class VLLMEngine:
    """Draws with vLLM.

    Args:
        model: the policy, as prepared for training.
        accelerator: of the trainer.
        tokenizer: of the policy.
        url: of a server started with `trl vllm-serve`; None runs vLLM in the trainer's
            processes, beside the policy.
        gpu_memory: share of a GPU's memory that vLLM may take there, 0 to 1.

    Raises:
        TrainingError: a model that has no directory or hub id for vLLM to load.
    """

    repeats_seeds = False  # TRL has one set of sampling parameters for all prompts

    def __init__(
        self, model: Any, accelerator: Any, tokenizer: Any, url: str | None, gpu_memory: float
    ) -> None:
        name = str(accelerator.unwrap_model(model).name_or_path or "")
        if url is None and (not name or name.endswith(".gguf")):
            what = "in a GGUF file" if name else "that was built in memory"
            raise TrainingError(
                f"vLLM with a model {what}",
                "vLLM loads the model by its name before it is given the policy's weights",
                "save the model with its tokenizer, and give the directory",
            )
        from trl.generation.vllm_generation import VLLMGeneration

        self.is_server, self.accelerator = url is not None, accelerator
        self.generation = VLLMGeneration(
            model=model,
            accelerator=accelerator,
            processing_class=tokenizer,
            mode="server" if url else "colocate",
            server_base_url=url,
            gpu_memory_utilization=gpu_memory,
            logprobs=0,
        )

    def renew(self) -> None:
        """Sync the weights; vLLM forgets what it had computed with the former ones."""
        self.generation.sync_weights()

    def draw(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        decoding: Decoding,
        stop_token_ids: Sequence[int],
        stop_strings: Sequence[str],
    ) -> list[Drawn]:
        """One response for each prompt. Seeds are not heeded: TRL cannot pass them on."""
        generation = self.generation
        generation.temperature, generation.top_p = decoding.temperature, decoding.top_p
        generation.top_k, generation.min_p = decoding.top_k, decoding.min_p
        generation.max_completion_length = decoding.max_new_tokens
        generation.generation_kwargs = {
            "stop_token_ids": list(stop_token_ids),
            **({"stop": list(stop_strings)} if stop_strings else {}),
        }
        asked = [list(prompt) for prompt in prompts]
        if self.is_server:
            asked = self._as_many_as_others(asked, stop_token_ids[0])
        _, token_ids, logps, _ = generation.generate(asked, None, 1)
        rows = list(zip(token_ids, logps, strict=True))[: len(prompts)]
        return [Drawn(list(ids), [token[0] for token in values]) for ids, values in rows]

    def close(self) -> None:
        """Nothing is left: TRL ends vLLM with the process, and the server's part of it."""

    def _as_many_as_others(self, prompts: list[list[int]], filler: int) -> list[list[int]]:
        """TRL deals out a server's answers by rank, as if each had asked the same number."""
        most = max(gather_object([len(prompts)]))
        return [*prompts, *[[filler]] * (most - len(prompts))]

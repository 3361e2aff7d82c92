"""What the test of sharded weights launches: FSDP2 on CPUs, two ranks at their own pace.

python shard_ranks.py DIRECTORY
"""

import copy
import os
import sys
from pathlib import Path

import torch
from tests.conftest import CHAT_TEMPLATE, make_llama, make_tokenizer
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from neat_align.models.layout import layout_of
from neat_align.models.layout.base import token_logps
from neat_align.models.layout.packable import prepare_for_packing
from neat_align.models.tokenized import tokenize_group
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.local import TransformersSampler
from neat_align.training.sharding import whole_weights
from neat_align.types import Group, Query, Response, Source


def main(directory):
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    tokenizer = make_tokenizer(CHAT_TEMPLATE)
    whole = make_llama(tokenizer)
    prepare_for_packing(whole)
    sharded = copy.deepcopy(whole)
    mesh = init_device_mesh("cpu", (ranks,))
    for layer in sharded.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(sharded, mesh=mesh)

    requests = [SamplingRequest(Query.from_text("a lamp"), Source.PLAIN, "", i) for i in range(5)]
    own, decoding = requests[: 1 + 4 * rank], Decoding(4 + 12 * rank)  # one rank has more to do
    drawn = [TransformersSampler(whole, PromptFormat(tokenizer)).sample(own, decoding)]
    with whole_weights(sharded):
        drawn.append(TransformersSampler(sharded, PromptFormat(tokenizer)).sample(own, decoding))
    assert drawn[0] == drawn[1]
    assert all(isinstance(p, DTensor) for p in sharded.parameters()), "not in shards again"

    answers = tuple(Response(t, Source.PLAIN, score=0.0) for t in ("a cloth", "no"))
    group = tokenize_group(Group(requests[0].query, answers), PromptFormat(tokenizer))
    rows = layout_of(whole, tokenizer.eos_token_id).rows([group])
    for model in (whole, sharded):
        model.train()
        token_logps(model, rows).sum().backward()
    for full, part in zip(whole.parameters(), sharded.parameters(), strict=True):
        torch.testing.assert_close(part.grad.full_tensor(), full.grad)
    Path(directory, f"rank_{rank}").touch()
    torch.distributed.barrier()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])

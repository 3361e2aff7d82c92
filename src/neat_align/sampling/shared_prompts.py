"""Decode with each prompt's keys and values stored, and read, once for all its rows.

Prompts are read packed, without padding. A step's queries are sorted to their prompts, so
that one product serves all rows of a prompt; what a row has drawn itself lies in a buffer
of its own. Rows and prompts that are done are swept out once they are a quarter of what is
stored, which keeps the copying small against the work.

On the CPU, for models that `models.layout.packed` can pack: the same attention runs in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from neat_align.models.cpu.attention import has_our_attention
from neat_align.models.layout.packable import can_pack
from neat_align.models.layout.packed import Packed, packed_rows
from neat_align.models.tokenized import TokenizedGroup

READ = 1024  # prompt tokens read at a time: more only spill out of a core's cache
GROW = 32  # tokens by which a row's buffer grows at first
SWEEP = 0.75  # live share below which the stored rest is swept out


def can_share(model: Any, longest: int) -> bool:
    """Tell whether rows of `longest` tokens, prompt and response, may be decoded like this."""
    group = TokenizedGroup([0] * longest, [[]], [0.0], [])
    on_cpu = next(model.parameters()).device.type == "cpu"
    return on_cpu and can_pack(model, [group]) and has_our_attention(model)


class SharedPrompts:
    """A `Decoder`, and the attention layout of its own forward passes."""

    takes_more = True

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.cache = _Hook(self)
        self.prompts: list[tuple[int, ...]] = []
        self.prompt_keys: list[Tensor] = []  # a layer: [P, H_kv, L, D], zeros after the end
        self.prompt_values: list[Tensor] = []
        self.prompt_lengths = torch.zeros(0, dtype=torch.long)  # [P]
        self.own_keys: list[Tensor] = []  # a layer: [S, H_kv, T, D], S ≥ rows
        self.own_values: list[Tensor] = []
        self.prompt_of = torch.zeros(0, dtype=torch.long)  # [rows]
        self.slot = torch.zeros(0, dtype=torch.long)  # [rows], place among the S
        self.drawn = torch.zeros(0, dtype=torch.long)  # [rows], tokens already read
        self.slots = 0
        self.reading: tuple[list[int], list[Tensor], list[Tensor]] | None = None

    # ---------------------------------------------------------------- rows come and go

    def add(self, prompts: Sequence[list[int]]) -> Tensor:
        """Read those prompts that are not stored yet; return [len(prompts), V]."""
        wanted = [tuple(p) for p in prompts]
        self._sweep()
        # A stored prompt's next-token logits are not kept: a prompt that comes back is read again.
        new = list(dict.fromkeys(wanted))
        logits = self._read(new)
        place = {p: len(self.prompts) - len(new) + i for i, p in enumerate(new)}
        self.prompt_of = torch.cat([self.prompt_of, torch.tensor([place[p] for p in wanted])])
        free = torch.arange(self.slots, self.slots + len(wanted))
        self.slot = torch.cat([self.slot, free])
        self.slots += len(wanted)
        self.drawn = torch.cat([self.drawn, torch.zeros(len(wanted), dtype=torch.long)])
        first = len(self.prompts) - len(new)
        return logits[torch.tensor([place[p] - first for p in wanted])]

    def step(self, tokens: Tensor) -> Tensor:
        """Read one token per live row, [rows]; return [rows, V]."""
        self._make_room()
        self._arrange()
        logits: Tensor = self.model(
            input_ids=tokens[:, None],
            position_ids=(self.prompt_lengths[self.prompt_of] + self.drawn)[:, None],
            attention_mask=torch.zeros(1, 1, 1, 1, dtype=self.model.dtype),
            past_key_values=self.cache,
            use_cache=True,
            layout=self,
        ).logits
        self.drawn += 1
        return logits[:, -1]

    def keep(self, alive: Tensor) -> None:
        """Forget rows; their memory goes with the next sweep."""
        self.prompt_of, self.slot = self.prompt_of[alive], self.slot[alive]
        self.drawn = self.drawn[alive]
        self._sweep()

    # ------------------------------------------------------------------- what is stored

    def _read(self, prompts: Sequence[tuple[int, ...]]) -> Tensor:
        """Store keys and values of prompts; return their next-token logits [len(prompts), V]."""
        groups = [TokenizedGroup(list(p), [[]], [0.0], []) for p in prompts]
        found = []
        for part in Packed(self.model, 0, READ).passes(groups):
            sizes = [len(g.query_ids) for g in part]
            rows = packed_rows(part)
            self.reading = (sizes, [], [])
            logits = self.model(
                **rows.forward_arguments(self.model),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=rows.ends_at,
            ).logits
            found.append(logits[0])
            (_, keys, values), self.reading = self.reading, None
            self.prompt_keys = _stack(self.prompt_keys, keys)
            self.prompt_values = _stack(self.prompt_values, values)
            self.prompt_lengths = torch.cat([self.prompt_lengths, torch.tensor(sizes)])
        self.prompts += prompts
        return torch.cat(found)

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Take [1, H_kv, N, D] of prompts that are read, or [rows, H_kv, 1, D] of a step."""
        if self.reading is not None:
            sizes, keys, values = self.reading
            keys.append(_grid(key, sizes))
            values.append(_grid(value, sizes))
            return
        self.own_keys[layer][self.slot, :, self.drawn] = key[:, :, 0]
        self.own_values[layer][self.slot, :, self.drawn] = value[:, :, 0]

    def _make_room(self) -> None:
        """Give every row a slot, and a place for the token that it reads next."""
        have = self.own_keys[0].shape if self.own_keys else (0, 0, 0, 0)
        longest = int(self.drawn.max()) + 1
        if have[0] >= self.slots and have[2] >= longest:
            return
        tokens = have[2] if have[2] >= longest else max(GROW, 2 * have[2])
        self.own_keys = [_grown(k, own, self.slots, tokens) for k, own in self._with_own(True)]
        self.own_values = [_grown(v, own, self.slots, tokens) for v, own in self._with_own(False)]

    def _with_own(self, keys: bool) -> list[tuple[Tensor, Tensor | None]]:
        prompt = self.prompt_keys if keys else self.prompt_values
        own: Sequence[Tensor | None] = self.own_keys if keys else self.own_values
        return list(zip(prompt, own or [None] * len(prompt), strict=True))

    def _sweep(self) -> None:
        """Give back what nobody uses, once it is a quarter of what is stored."""
        used = self.prompt_of.unique()
        if len(used) < SWEEP * len(self.prompts):
            self.prompts = [self.prompts[i] for i in used.tolist()]
            self.prompt_lengths = self.prompt_lengths[used]
            width = int(self.prompt_lengths.max()) if len(used) else 0
            self.prompt_keys = [k[used, :, :width] for k in self.prompt_keys]
            self.prompt_values = [v[used, :, :width] for v in self.prompt_values]
            self.prompt_of = torch.searchsorted(used, self.prompt_of)
        if len(self.slot) < SWEEP * self.slots:
            tokens = max(GROW, int(self.drawn.max()) if len(self.slot) else 0)
            self.own_keys = [k[self.slot, :, :tokens] for k in self.own_keys]
            self.own_values = [v[self.slot, :, :tokens] for v in self.own_values]
            self.slots = len(self.slot)
            self.slot = torch.arange(self.slots)

    # ------------------------------------------------------------------------ attention

    def _arrange(self) -> None:
        """Make what all layers of a step share: a seat per row at its prompt, the masks."""
        counts: Counter[int] = Counter()
        places = []
        for prompt in self.prompt_of.tolist():
            places.append(counts[prompt])
            counts[prompt] += 1
        self.per_prompt = max(counts.values())
        self.seat = self.prompt_of * self.per_prompt + torch.tensor(places)
        self.width = int(self.drawn.max()) + 1
        before = torch.arange(int(self.prompt_lengths.max()))
        unseen = [
            before >= self.prompt_lengths[self.prompt_of][:, None],
            torch.arange(self.width) > self.drawn[:, None],
        ]
        self.unseen = torch.cat(unseen, dim=1)[:, None, None]  # [rows, 1, 1, L + T]

    def attend(
        self, module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        """Attend: [rows, H, 1, D] in, [rows, 1, H, D] out; keys and values are the stored ones."""
        layer: int = module.layer_idx  # type: ignore[assignment]
        rows, heads, _, width = query.shape
        keys, values = self.prompt_keys[layer], self.prompt_values[layer]
        own_keys = self.own_keys[layer][:, :, : self.width]
        own_values = self.own_values[layer][:, :, : self.width]
        q = (query[:, :, 0] * scale).view(rows, keys.shape[1], -1, width)
        # The own keys come first in their product: small CPU kernels like it twice as well.
        own_scores = self._at_slots(lambda q: (own_keys @ q.mT).mT, q)
        scores = torch.cat([self._at_prompts(q, keys.mT), own_scores], -1)
        scores = scores.float().masked_fill_(self.unseen, float("-inf"))
        shares = scores.softmax(-1).to(q.dtype).split([keys.shape[2], self.width], dim=-1)
        own = self._at_slots(lambda share: share @ own_values, shares[1])
        out = self._at_prompts(shares[0], values) + own
        return out.view(rows, 1, heads, width)

    def _at_prompts(self, x: Tensor, stored: Tensor) -> Tensor:
        """Multiply X [rows, H_kv, G, a] by its prompt's [H_kv, a, b], each prompt read once."""
        prompts, key_heads, _, b = stored.shape
        shared, a = x.shape[2:]
        seats = x.new_zeros(prompts * self.per_prompt, key_heads, shared, a)
        seats[self.seat] = x
        seats = seats.view(prompts, self.per_prompt, key_heads, shared, a).transpose(1, 2)
        product = seats.reshape(prompts, key_heads, self.per_prompt * shared, a) @ stored
        product = product.view(prompts, key_heads, self.per_prompt, shared, b).transpose(1, 2)
        return product.reshape(-1, key_heads, shared, b)[self.seat]

    def _at_slots(self, product: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Multiply x [rows, H_kv, G, a] by what the rows' own slots hold."""
        slots = x.new_zeros(self.slots, *x.shape[1:])
        slots[self.slot] = x
        return product(slots)[self.slot]


class _Hook(Cache):
    """The cache a model's layers hand their keys and values to."""

    def __init__(self, owner: SharedPrompts) -> None:
        super().__init__(layers=[])
        self.owner = owner

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        self.owner.store(layer_idx, key_states, value_states)
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0


def _grid(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Split [1, H, N, D] into [P, H, longest, D], zeros after a prompt's end."""
    grid = x.new_zeros(len(sizes), x.shape[1], max(sizes), x.shape[3])
    for row, part in zip(grid, x[0].split(list(sizes), dim=1), strict=True):
        row[:, : part.shape[1]] = part
    return grid


def _stack(stored: Sequence[Tensor], new: Sequence[Tensor]) -> list[Tensor]:
    """Join, layer by layer, prompts one after the other, as wide as the longest."""
    if not stored:
        return list(new)
    width = max(stored[0].shape[2], new[0].shape[2])
    pad = torch.nn.functional.pad
    return [
        torch.cat([pad(x, (0, 0, 0, width - x.shape[2])) for x in pair])
        for pair in zip(stored, new, strict=True)
    ]


def _grown(like: Tensor, own: Tensor | None, slots: int, tokens: int) -> Tensor:
    """Make a buffer [slots, H_kv, tokens, D] that begins with what `own` holds."""
    buffer = like.new_zeros(slots, like.shape[1], tokens, like.shape[3])
    if own is not None:
        buffer[: len(own), :, : own.shape[2]] = own
    return buffer

"""NEAT by hand: the whole method in one flat file, on the library's public functions.

    python examples/neat_by_hand.py [MODEL_DIRECTORY]

Without a directory it trains a tiny model with random weights, in seconds and offline. What
`NEATTrainer` adds is what a long training needs: adapters, several processes, checkpoints,
budgets of memory, logs.

The idea: ask the model for good answers with a positive prompt and for bad ones with a
negative prompt, score all of them without these prompts, and train it to rank them so when
nothing is said at all.

Shapes: G groups, one per query; K responses per group; R = G·K responses in all; T tokens of
the longest response.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch

from neat_align import (
    NEAT,
    Decoding,
    Group,
    GroupLogps,
    GroupPlan,
    PromptFormat,
    Query,
    RewardFunction,
    ScorerSet,
    Source,
    Steering,
    TransformersSampler,
    layout_of,
    load_causal_lm,
    load_tokenizer,
    response_logps,
    sample_groups,
    token_logps,
    tokenize_group,
)

# What the model is to stop doing, in plain words. Each side is only ever shown while sampling.
STEERING = Steering(
    name="plain words",
    positive=("Answer in plain words.",),
    negative=("Answer with symbols and numbers only.",),
)
ASKED = ("How do I clean a lamp?", "What is a kettle?", "Who mends shoes?", "Why is it dark?")
QUERIES = [Query.from_text(text) for text in ASKED]
# K = 4: two responses under the positive prompt, one under the negative one, one without any.
PLAN = GroupPlan(positive=2, negative=1, plain=1)
DECODING = Decoding(max_new_tokens=24, temperature=1.0)


def letters(completions: list[Any], **_: Any) -> list[float]:
    """Score each completion by its share of letters and spaces: a reward as TRL calls it."""
    texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
    plain = [sum(c.isascii() and (c.isalpha() or c == " ") for c in text) for text in texts]
    return [count / max(1, len(text)) for count, text in zip(plain, texts, strict=True)]


def tiny_model() -> tuple[Any, Any]:
    """Make a model of random weights, and a tokenizer whose tokens are bytes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from neat_align.pretraining.language_model import LanguageModelSettings, train_tokenizer

    tokenizer = train_tokenizer([], LanguageModelSettings(vocab_size=258))  # 256, EOS and PAD
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=256,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return LlamaForCausalLM(config), tokenizer


def group_logps(
    policy: Any, reference: Any, prompt_format: PromptFormat, groups: list[Group]
) -> GroupLogps:
    """Compute what an objective sees of the groups.

    The responses stand behind the clean query here, whatever prompt brought them out: this is
    how the model learns to do without one.
    """
    tokenized = [tokenize_group(group, prompt_format) for group in groups]
    shape = (len(groups), PLAN.size)  # [G, K]
    rows = layout_of(policy, prompt_format.pad_id).rows(tokenized)
    logps = token_logps(policy, rows)  # [R, T], with a gradient
    frozen = response_logps(reference, prompt_format, groups)  # G lists of K sums
    responses = [group.responses for group in groups]
    return GroupLogps(
        policy=logps.sum(-1).view(shape),  # sums over tokens, in nats
        length=rows.response_mask.sum(-1).view(shape),
        score=torch.tensor([[r.score for r in row] for row in responses]),
        is_negative=torch.tensor([[r.source == Source.NEGATIVE for r in row] for row in responses]),
        present=torch.ones(shape, dtype=torch.bool),  # every group is whole
        reference=torch.tensor(frozen),
    )


def train(model: Any, tokenizer: Any, steps: int = 20, rate: float = 3e-3) -> list[float]:
    """Train a model, and return the mean reward of what it answered unasked, per step."""
    prompt_format = PromptFormat(tokenizer)
    reference = copy.deepcopy(model).eval().requires_grad_(False)
    objective, optimizer = NEAT(), torch.optim.AdamW(model.parameters(), lr=rate)
    sampler = TransformersSampler(model, prompt_format)
    scorers = ScorerSet([RewardFunction(letters)])
    model.eval()  # no dropout: the log-probs are those of the model that answered
    rewards = []
    for step in range(steps):
        # 1. Answer every query under each prompt of the plan.
        drawn = sample_groups(sampler, QUERIES, STEERING, PLAN, DECODING, seed=step)
        # 2. Score every response on the clean query.
        groups = scorers.score(drawn)
        # 3. Log-probs of every response on the clean query: [G, K].
        logps = group_logps(model, reference, prompt_format, groups)
        # 4. The loss: rank by score, and make the best response likely.
        loss = objective(logps).total
        # 5. One step.
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        unasked = (r for g in groups for r in g.responses if r.source == Source.PLAIN)
        plain = [r.score for r in unasked if r.score is not None]
        rewards.append(sum(plain) / len(plain))
        print(f"step {step:2d}  loss {loss.item():7.3f}  reward unasked {rewards[-1]:.3f}")
    return rewards


def main() -> None:
    """Train the model of a directory, or a tiny one."""
    if len(sys.argv) > 1:
        train(load_causal_lm(sys.argv[1], "float32", "cpu"), load_tokenizer(sys.argv[1]), rate=1e-5)
    else:
        train(*tiny_model())


if __name__ == "__main__":
    main()

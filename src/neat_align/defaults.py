"""Defaults that are no settings of a training (see `config`): each stands here, and nowhere else.

Recipes, the command line and the records of each stage import them. No torch, so that a recipe
is checked at once.
"""

from __future__ import annotations

SAMPLES_PER_QUERY = 1
"""Responses to each query of an evaluation, under each condition."""
CONCURRENCY = 16
"""Questions that are open to a server at a time."""
KEY_VARIABLE = "OPENAI_API_KEY"
"""Environment variable with a server's key."""

# A reward model starts from a model that was trained before, which a higher rate spoils.
# Models of the study's size need 100 times as much, and its recipes say so.
REWARD_LEARNING_RATE = 1e-5
REWARD_EPOCHS = 1.0
REWARD_BATCH_SIZE = 16
REWARD_MAX_LENGTH = 512
REWARD_HOLDOUT = 0.1

# A reward that is watched while another trains: spreads of rise, and falls in a row.
WATCH_RISE = 0.5
WATCH_FALLS = 2

# A language model from scratch: the study's.
LM_HIDDEN_SIZE = 96
LM_LAYERS = 3
LM_HEADS = 3
LM_INTERMEDIATE_SIZE = 256
LM_VOCAB_SIZE = 1024
LM_MAX_LENGTH = 256
LM_STEPS = 4000
LM_BATCH_SIZE = 16
LM_LEARNING_RATE = 1.2e-2
LM_PROMPT_WEIGHT = 0.2

# The generated world: how often its base misbehaves unprompted, and labels that are wrong.
WORLD_MISBEHAVES = 0.93
WORLD_FLIPPED = 0.05

# LoRA adapters.
LORA_RANK = 16
LORA_ALPHA = 32
LORA_DROPOUT = 0.0

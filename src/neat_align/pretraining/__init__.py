"""Train small models before the alignment: a language model, a reward model."""

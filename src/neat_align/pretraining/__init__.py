"""Train the small models that an alignment starts from: a language model, a reward model."""

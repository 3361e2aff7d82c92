"""Training: NEAT and its baselines, language models, reward models."""

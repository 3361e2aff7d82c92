"""Hold the texts around a query: steering pairs, and the chat format of a model."""

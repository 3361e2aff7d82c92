"""Ask OpenAI-compatible servers: addresses, keys, retries, and what each answer means."""

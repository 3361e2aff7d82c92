"""What is known of OpenAI-compatible servers: addresses, keys, dialects and their answers."""

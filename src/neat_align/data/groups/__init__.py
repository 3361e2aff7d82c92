"""Store groups of scored responses: the wide table, its shards, marks and the hub."""

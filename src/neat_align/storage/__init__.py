"""Keep what is written: atomic files, the run directory, seals, signals, safe YAML, paths."""

"""Models as GGUF files: read their headers, find the files, load them as ordinary models."""

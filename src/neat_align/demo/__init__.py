"""Hold what a demonstration on a real model needs: requests to refuse, and their twins."""

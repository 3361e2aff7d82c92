"""Run the demo on a small generated world."""

"""Put the stages of a recipe in order, from its data to its report."""

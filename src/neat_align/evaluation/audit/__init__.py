"""Tell how far a reward can be trusted, before anything is trained with it."""

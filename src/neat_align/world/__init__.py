"""The embedded default: a small generated dialogue world with ground truth.

lexicon   the words, their facts, and who may see which
dialogue  queries, and answers in each style
corpus    what the starting model, the reward model and alignment read
checker   the ground truth: what an answer is
"""

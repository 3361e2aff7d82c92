"""`neat compare`: every method on the same bases, rewards and queries, with the same tuning.

methods   what a method changes in a recipe, and which settings are tried
grid      the cells: tuning on development queries, then seeds on test queries
store     cells and models on disk, found by their content
work      doing one unit of work; several processes share a directory
summary   means, intervals, paired differences, the choice of settings
page      the table and the pictures
"""

from neat_align.study.grid import Grid
from neat_align.study.methods import Method, load_methods
from neat_align.study.summary import summarise
from neat_align.study.work import compare

__all__ = ["Grid", "Method", "compare", "load_methods", "summarise"]

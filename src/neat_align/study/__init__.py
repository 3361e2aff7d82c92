"""`neat compare`: every method on the same bases, rewards and queries, with the same tuning.

methods   what a method changes in a recipe, and which settings are tried
cell      one alignment and its evaluation, found by its content
grid      the cells: tuning on development queries, then seeds on test queries
plan      the grid of a recipe, checked before anything is loaded
sections  the two sections of a recipe that make it a comparison
store     cells and models on disk
units     what is to be done: models to train and cells to run
work      doing one unit after the other; several processes share a directory
summary   means, intervals, paired differences, the choice of settings
demo      the recipe `world`, run once, with rivals of the study
page      the table and the pictures
"""

from neat_align.study.methods import Method, load_methods
from neat_align.study.plan import plan_grid
from neat_align.study.summary import summarise
from neat_align.study.work import compare

__all__ = ["Method", "compare", "load_methods", "plan_grid", "summarise"]

"""Search spaces as vocabulary: what may be tried, printable and checkable without a cluster.

A space is a mapping from dotted config keys to what is searched there. It says how a point is drawn, and everything else draws
otherwise: random search at random, a grid every value, a searcher what it proposes, validation the ends.

::

    parts.py        what a part of a space is
    dimensions.py   choice, uniform, log_uniform, int_uniform, grid, log_grid
    mixes.py        simplex, ratio: weights that share a total
    words.py        ohem, class_weight_rule, class_weight_each, strength
    rules.py        when: only under a condition; require: what every point keeps
    points.py       how a point is drawn, and a random one
    enumerated.py   grids, corners, size
    sampled.py      random points, none of them twice
    digests.py      whether a function in a space is the one that it was
    written.py      as a file has it
    checked.py      what is wrong with a space by itself
    asking.py       searchers that learn from scores
    recovered.py    from a config back to what was drawn
"""

from rayseg.space.asking import Asker, KnownTrial, Listed, Method, OptunaAsker
from rayseg.space.checked import space_problems
from rayseg.space.digests import function_digests
from rayseg.space.dimensions import (
    Choice,
    IntUniform,
    LogUniform,
    Uniform,
    choice,
    grid,
    int_uniform,
    log_grid,
    log_uniform,
    uniform,
)
from rayseg.space.enumerated import axes, conditional_axes, corners, flat, grid_points, keys_of, size
from rayseg.space.mixes import Ratio, Simplex, ratio, shares_of, simplex, unit_coordinates
from rayseg.space.parts import Dimension, Draw, FlatSpace, Part, Space
from rayseg.space.points import broken_rules, describe, draw_point, random_point
from rayseg.space.recovered import recovered
from rayseg.space.rules import ABSENT, Rule, When, looked_up, require, when
from rayseg.space.sampled import distinct_size, drawn_anew, point_name, random_points
from rayseg.space.words import Strength, class_weight_each, class_weight_rule, ohem, strength
from rayseg.space.written import space_from, written

__all__ = [
    "ABSENT",
    "Asker",
    "Choice",
    "Dimension",
    "Draw",
    "FlatSpace",
    "IntUniform",
    "KnownTrial",
    "Listed",
    "LogUniform",
    "Method",
    "OptunaAsker",
    "Part",
    "Ratio",
    "Rule",
    "Simplex",
    "Space",
    "Strength",
    "Uniform",
    "When",
    "axes",
    "broken_rules",
    "choice",
    "class_weight_each",
    "class_weight_rule",
    "conditional_axes",
    "corners",
    "describe",
    "distinct_size",
    "draw_point",
    "drawn_anew",
    "flat",
    "function_digests",
    "grid",
    "grid_points",
    "int_uniform",
    "keys_of",
    "log_grid",
    "log_uniform",
    "looked_up",
    "ohem",
    "point_name",
    "random_point",
    "random_points",
    "ratio",
    "recovered",
    "require",
    "shares_of",
    "simplex",
    "size",
    "space_from",
    "space_problems",
    "strength",
    "uniform",
    "unit_coordinates",
    "when",
    "written",
]

"""Spaces at random: choices with dimensions in them, mixes, conditions on what came before, rules."""

from __future__ import annotations

from hypothesis import strategies as st

from rayseg.space import Part, Space, choice, int_uniform, log_uniform, ratio, require, simplex, uniform, when

FINITE: st.SearchStrategy[Part] = st.one_of(
    st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True).map(choice),
    st.integers(0, 3).map(lambda low: int_uniform(low, low + 2)),
)
REAL: st.SearchStrategy[Part] = st.sampled_from([uniform(-1, 1), log_uniform(1e-3, 1.0)])


@st.composite
def spaces(draw: st.DrawFn, *, finite: bool = False) -> Space:
    dimensions: st.SearchStrategy[Part] = FINITE if finite else st.one_of(FINITE, REAL)
    space: dict[str, Part] = {"kind": choice(["x", "y", None])}
    for name in ("a", "b"):
        part: Part = draw(dimensions)
        if draw(st.booleans()):
            part = choice([None, {"type": "t", "inside": part, "fixed": 1}, {"type": "u", "inside": draw(dimensions)}])
        if draw(st.booleans()):
            value: str | list[str | None] = draw(st.sampled_from(["x", "y"])) if draw(st.booleans()) else ["x", None]
            part = when({"kind": value}, part)
        space[name] = part
    if draw(st.booleans()):
        space["deep"] = when({"a.type": "t"}, draw(dimensions))
    if not finite and draw(st.booleans()):
        mixes: list[Part] = [simplex(["p", "q", "r"], 2.0), ratio(["p", "q"], 0.1, 10)]
        space["*.weight"] = draw(st.sampled_from(mixes))
    if draw(st.booleans()):
        space["not both"] = require("kind != 'x' or b != 0")
    keys = draw(st.permutations(list(space)))
    return {key: space[key] for key in keys}

"""Hypothesis strategies of shapes and of regions in them."""

from hypothesis import strategies as st

from filler_server.engine.region import Region

shapes = st.lists(st.integers(1, 5), max_size=4).map(tuple)


@st.composite
def ranges(draw: st.DrawFn, dim: int, smallest: int = 0) -> tuple[int, int]:
    """A range start <= stop of an axis, of at least `smallest` indices."""
    start = draw(st.integers(0, dim - smallest))
    return start, draw(st.integers(start + smallest, dim))


@st.composite
def regions(draw: st.DrawFn, shape: tuple[int, ...], smallest: int = 0) -> Region:
    """The whole blob, a box of it, or a flat range."""
    kind = draw(st.sampled_from(["whole", "box", "flat"]))
    if kind == "whole":
        return Region.whole(shape)
    if kind == "box":
        return Region.box(shape, [draw(ranges(dim, smallest)) for dim in shape])
    count = 1
    for dim in shape:
        count *= dim
    return Region.flat(shape, *draw(ranges(count, smallest)))

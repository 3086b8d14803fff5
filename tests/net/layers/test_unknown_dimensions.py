"""A net with open dimensions has the shapes and operations of the net with them known, and only a NetError comes out.

Unknown dimensions are taken to be positive, so only such are hidden.
"""

from collections.abc import Callable

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from caffe_filler.errors import NetError
from filler_server.net.operations import Operation, Unknown
from filler_server.net.plan import Layer, Shape
from tests.net.layers.cases import CASES
from tests.net.layers.fork_cases import FORK_CASES

Known = tuple[int, ...]

any_shape = st.lists(st.integers(0, 9), max_size=5).map(tuple)


@st.composite
def layers(draw: st.DrawFn) -> tuple[str, list[Known]]:
    """Draw the fields of a layer and its bottoms: those of a case, one of them perhaps changed."""
    fields, shapes, _, _ = draw(st.sampled_from([case for case in (*CASES, *FORK_CASES) if case[1]]))
    bottoms = [tuple(dim or 0 for dim in shape or ()) for shape in shapes]
    if draw(st.booleans()):
        bottoms[draw(st.integers(0, len(bottoms) - 1))] = draw(any_shape)
    # What is pooled is taken to have four axes, as in BVLC, until it is known to have more.
    assume('"Pooling"' not in fields or len(bottoms[0]) <= 4)
    return fields, bottoms


def agree(blind: Shape, seeing: Shape) -> bool:
    if blind is None or seeing is None:
        return blind is None
    return len(blind) == len(seeing) and all(a in (None, b) for a, b in zip(blind, seeing, strict=True))


def operations_agree(blind: object, seeing: object, name: str = "") -> bool:
    """Whether what is said of an operation is right, as far as anything is; an axis may be counted from the end."""
    if isinstance(blind, Unknown) or isinstance(seeing, Unknown):
        return True
    if isinstance(blind, Operation) and isinstance(seeing, Operation):
        mine, theirs = blind.attributes(), seeing.attributes()
        return type(blind) is type(seeing) and all(operations_agree(mine[key], theirs[key], key) for key in mine)
    if name in ("order", "offsets") and isinstance(blind, tuple) and isinstance(seeing, tuple):
        # Where the number of axes is not known they are as the prototxt has them.
        return len(blind) <= len(seeing)
    if isinstance(blind, tuple) and isinstance(seeing, tuple):
        return len(blind) == len(seeing) and all(map(operations_agree, blind, seeing))
    return blind is None or blind == seeing or (isinstance(blind, int) and blind < 0 and "axis" in name)


@settings(max_examples=500)
@given(layer=layers(), data=st.data())
def test_open_dimensions_only_hide(
    set_up: Callable[..., Layer], layer: tuple[str, list[Known]], data: st.DataObject
) -> None:
    fields, bottoms = layer
    masked: list[Shape] = []
    for shape in bottoms:
        hidden = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
        whole = data.draw(st.integers(0, 4)) == 0 and 0 not in shape
        masked.append(
            None if whole else tuple(None if hide and dim else dim for dim, hide in zip(shape, hidden, strict=True))
        )
    try:
        seeing = set_up(fields, *bottoms)
    except NetError:
        seeing = None
    # A layer that only a fork's may be is unknown, once it is known that it is none of BVLC's.
    misfit = seeing is not None and any(top.shape is None for top in seeing.tops)
    try:
        blind = set_up(fields, *masked)
    except NetError:
        assert seeing is None or misfit, "a layer fails for what is not known"
        return
    if seeing is not None and not misfit:
        assert operations_agree(blind.operation, seeing.operation), (masked, blind.operation, seeing.operation)
        for mine, theirs in ((blind.tops, seeing.tops), (blind.blobs, seeing.blobs)):
            assert len(mine) == len(theirs)
            for one, other in zip(mine, theirs, strict=True):
                assert agree(one.shape, other.shape), (masked, one, other)


def test_priors_over_a_map_without_places_end_in_a_report(set_up: Callable[..., Layer]) -> None:
    layer = set_up('type: "PriorBox" prior_box_param { min_size: 30 }', (1, 1, 0, 2), (2, 6, 8, 10))
    assert layer.tops[0].shape is None

"""Tops and learnable blobs of every layer type."""

from collections.abc import Callable

import pytest

from filler_server.net.plan import Layer, NetPlan, Shape
from filler_server.net.registry import layer_type, layer_type_names
from tests.net.layers.cases import CASES
from tests.net.layers.fork_cases import FORK_CASES

NO_TOPS = {"Silence": 1, "HDF5Output": 2, "RBMReturn": 2}


@pytest.mark.parametrize(("fields", "bottoms", "tops", "blobs"), [*CASES, *FORK_CASES])
def test_tops_and_blobs(
    set_up: Callable[..., Layer], fields: str, bottoms: list[Shape], tops: list[Shape], blobs: list[Shape]
) -> None:
    layer = set_up(fields, *bottoms)
    assert [top.shape for top in layer.tops] == tops
    assert [blob.shape for blob in layer.blobs] == blobs
    assert [blob.name for blob in layer.blobs] == [f"it/{index}" for index in range(len(layer.blobs))]


def test_blobs_have_roles() -> None:
    """By which `--names torch` and the modules of PyTorch call them."""
    for fields, _, _, blobs in (*CASES, *FORK_CASES):
        kind = layer_type(fields.split('"')[1])
        assert kind is not None
        assert len(kind.roles(len(blobs))) == len(blobs), fields


def test_every_layer_type_is_covered() -> None:
    covered = {case[0].split('"')[1] for case in (*CASES, *FORK_CASES)} | set(NO_TOPS)
    assert covered == set(layer_type_names())


@pytest.mark.parametrize(("name", "bottoms"), NO_TOPS.items())
def test_a_sink_has_no_tops(plan: Callable[..., NetPlan], name: str, bottoms: int) -> None:
    wiring = 'bottom: "a" ' * bottoms
    net = plan(
        'layer { name: "i" type: "Input" top: "a" input_param { shape { dim: 2 } } }'
        f'layer {{ name: "it" type: "{name}" {wiring} }}'
    )
    assert net.layers[1].tops == ()

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from caffe_filler.errors import NetError
from tests.models.reference.small import normal, top, tops


@pytest.mark.parametrize(
    ("fields", "size", "cut"),
    [
        ("height: 9 width: 4", (9, 4), (0, 0)),
        ("zoom_factor: 3", (13, 16), (0, 0)),
        ("shrink_factor: 2", (3, 3), (0, 0)),
        ("height: 7 width: 7 pad_beg: -1 pad_end: -2", (7, 7), (1, 2)),
        ("height: 5 width: 6", (5, 6), (0, 0)),
    ],
)
def test_interpolation(fields: str, size: tuple[int, int], cut: tuple[int, int]) -> None:
    x = normal(2, 3, 5, 6)
    got = top("Interp", f"interp_param {{ {fields} }}", x=x)
    part = x[:, :, cut[0] : 5 - cut[1], cut[0] : 6 - cut[1]]
    grid = [np.linspace(0, extent - 1, number) for extent, number in zip(part.shape[2:], size, strict=True)]
    places = np.stack(np.meshgrid(*grid, indexing="ij"), -1)
    corners = [np.arange(extent) for extent in part.shape[2:]]
    for plane, want in zip(got.reshape(-1, *size), part.reshape(-1, *part.shape[2:]), strict=True):
        np.testing.assert_allclose(plane, RegularGridInterpolator(corners, want)(places), atol=1e-12)


def test_interpolation_to_one_place_and_to_the_size_of_another() -> None:
    x = normal(2, 3, 5, 6)
    assert np.array_equal(top("Interp", "interp_param { height: 1 width: 1 }", x=x), x[:, :, :1, :1])
    like = top("Interp", "interp_param { use_blob_size: true }", x=x, like=normal(1, 1, 9, 11))
    assert np.array_equal(like, top("Interp", "interp_param { height: 9 width: 11 }", x=x))


def test_larger_maps() -> None:
    x = normal(2, 3, 4, 5)
    assert np.array_equal(top("Upsample", "upsample_param { scale: 2 }", x=x), np.kron(x, np.ones((2, 2))))


def test_values_back_at_their_places() -> None:
    x = normal(2, 3, 6, 8)
    net = """layer { name: "p" type: "Pooling" bottom: "x" top: "p" top: "m"
      pooling_param { kernel_size: 2 stride: 2 } }
    layer { name: "u" type: "Upsample" bottom: "p" bottom: "m" top: "y" upsample_param { scale: 2 } }"""
    largest = np.kron(x.reshape(2, 3, 3, 2, 4, 2).max((3, 5)), np.ones((2, 2)))
    assert np.array_equal(tops(net, x=x)["y"], np.where(x == largest, x, 0))


def test_of_several_values_for_one_place_the_last_one_counts() -> None:
    got = top(
        "Upsample", "upsample_param { upsample_h: 2 upsample_w: 3 }", x=[[[[1, 2], [3, 4]]]], m=[[[[5, 0], [5, 1]]]]
    )
    assert got.tolist() == [[[[2, 4, 0], [0, 0, 3]]]]
    with pytest.raises(NetError, match="a place in the mask of Upsample is 0 to 5"):
        top("Upsample", "upsample_param { upsample_h: 2 upsample_w: 3 }", x=[[[[1]]]], m=[[[[6]]]])

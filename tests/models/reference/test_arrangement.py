import numpy as np
import pytest

from tests.models.reference.small import normal, top, tops


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ("", (2, 60)),
        ("axis: 0", (120,)),
        ("axis: 2", (2, 3, 20)),
        ("axis: 1 end_axis: 2", (2, 12, 5)),
        ("axis: -3 end_axis: -2", (2, 12, 5)),
        ("axis: 2 end_axis: 2", (2, 3, 4, 5)),
        ("axis: 2 end_axis: 1", (2, 3, 1, 4, 5)),
    ],
)
def test_flatten_ranges(fields: str, shape: tuple[int, ...]) -> None:
    x = normal(2, 3, 4, 5)
    got = top("Flatten", f"flatten_param {{ {fields} }}", x=x)
    assert got.shape == shape
    assert np.array_equal(got.reshape(-1), x.reshape(-1))


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ("shape { dim: 0 dim: -1 }", (2, 60)),
        ("shape { dim: -1 dim: 0 dim: 2 }", (20, 3, 2)),
        ("shape { dim: 0 dim: 0 dim: -1 dim: 1 }", (2, 3, 20, 1)),
        ("shape { dim: 2 dim: -1 } axis: 1", (2, 2, 30)),
        ("shape { dim: 6 dim: 2 } axis: 1 num_axes: 2", (2, 6, 2, 5)),
        ("shape { dim: 1 dim: 1 } axis: 1 num_axes: 0", (2, 1, 1, 3, 4, 5)),
        ("shape { dim: 1 } axis: -1 num_axes: 0", (2, 3, 4, 5, 1)),
        ("shape { dim: 0 dim: 5 } axis: -3", (2, 3, 4, 5)),
        ("shape { dim: 20 } axis: -3", (2, 3, 20)),
        ("shape { }  axis: 0 num_axes: 0", (2, 3, 4, 5)),
    ],
)
def test_reshape(fields: str, shape: tuple[int, ...]) -> None:
    x = normal(2, 3, 4, 5)
    got = top("Reshape", f"reshape_param {{ {fields} }}", x=x)
    assert got.shape == shape
    assert np.array_equal(got.reshape(-1), x.reshape(-1))


def test_concat_and_slice_are_inverse() -> None:
    x = normal(2, 7, 3)
    net = """layer { name: "s" type: "Slice" bottom: "x" top: "a" top: "b" top: "c"
      slice_param { axis: 1 slice_point: 1 slice_point: 4 } }
    layer { name: "j" type: "Concat" bottom: "a" bottom: "b" bottom: "c" top: "y" concat_param { axis: 1 } }"""
    assert np.array_equal(tops(net, x=x)["y"], x)
    halves = tops(
        'layer { name: "s" type: "Slice" bottom: "x" top: "a" top: "b" slice_param { axis: -2 } }', x=x[:, 1:]
    )
    assert np.array_equal(halves["a"], x[:, 1:4])
    assert np.array_equal(halves["b"], x[:, 4:])
    assert np.array_equal(top("Concat", "concat_param { axis: -1 }", x=x, z=x), np.dstack([x, x]))
    assert np.array_equal(top("Concat", "concat_param { concat_dim: 0 }", x=x, z=x), np.vstack([x, x]))


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ("", np.s_[:, :, :2, :3]),
        ("offset: 1", np.s_[:, :, 1:3, 1:4]),
        ("offset: 1 offset: 2", np.s_[:, :, 1:3, 2:5]),
        ("axis: 1 offset: 1 offset: 2 offset: 0", np.s_[:, 1:2, 2:4, :3]),
        ("axis: -1 offset: 2", np.s_[:, :, :, 2:5]),
        ("axis: 0", np.s_[:1, :1, :2, :3]),
    ],
)
def test_crop_offsets(fields: str, want: tuple[slice, ...]) -> None:
    x = normal(2, 4, 5, 6)
    assert np.array_equal(top("Crop", f"crop_param {{ {fields} }}", x=x, like=normal(1, 1, 2, 3)), x[want])


def test_other_arrangements() -> None:
    x = normal(2, 6, 3, 4)
    assert np.array_equal(top("Tile", "tile_param { axis: 2 tiles: 3 }", x=x), np.concatenate([x] * 3, 2))
    assert np.array_equal(top("Permute", "permute_param { order: 2 order: 0 }", x=x), x.transpose(2, 0, 1, 3))
    assert np.array_equal(top("Flip", x=x), x[..., ::-1])
    assert np.array_equal(top("Flip", "flip_param { flip_width: false flip_height: true }", x=x), x[..., ::-1, :])
    assert np.array_equal(top("Reverse", "reverse_param { axis: 1 }", x=x), x[:, ::-1])
    shuffled = top("ShuffleChannel", "shuffle_channel_param { group: 2 }", x=x)
    assert np.array_equal(shuffled, x[:, [0, 3, 1, 4, 2, 5]])


def test_factors_of_channels() -> None:
    a, x, z = normal(2, 3), normal(2, 3, 4, 5), normal(2, 3, 4, 5, seed=1)
    want = np.einsum("nc,nchw->nchw", a, x)
    np.testing.assert_allclose(top("Axpy", a=a, x=x, z=z), want + z)
    np.testing.assert_allclose(top("Axpy", a=a[:, :, None, None], x=x, z=z), want + z)
    np.testing.assert_allclose(top("BroadcastMul", x=x, a=a), want)
    np.testing.assert_allclose(top("BroadcastMul", a=a, x=x), want)


def test_split_and_gather() -> None:
    x = normal(2, 3)
    net = """layer { name: "s" type: "Split" bottom: "x" top: "a" top: "b" top: "c" }
    layer { name: "g" type: "Gather" bottom: "a" bottom: "b" top: "d" top: "e" }"""
    assert all(np.array_equal(value, x) for value in tops(net, x=x).values())

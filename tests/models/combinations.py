"""Combinations of parameters that the tests of Caffe importers elsewhere cover: those of TVM and of OpenCV.

Only what is combined is taken from there, and only where the data of real Caffe have no such case.
"""

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np

from tests.models.cases import Case

Shape = tuple[int, ...]


def _one(name: str, kind: str, fields: str, shape: Shape, tops: str = "y") -> Case:
    """A layer with one input, whose parameter has the name of its type."""
    message = {"InnerProduct": "inner_product", "Deconvolution": "convolution", "BatchNorm": "batch_norm"}
    parameter = message.get(kind, kind.lower())
    return Case(name, f"{kind} x -> {tops} {{ {parameter}_param {{ {fields} }} }}", {"x": shape})


def _windows(height: int, width: int, stride: Shape, pad: Shape) -> str:
    return (
        f"kernel_h: {height} kernel_w: {width} stride_h: {stride[0]} stride_w: {stride[1]} "
        f"pad_h: {pad[0]} pad_w: {pad[1]}"
    )


def _convolutions() -> Iterator[Case]:
    grid = product(
        ((4, 1), (9, 1), (4, 2), (9, 3)), ((3, 1), (1, 3)), (1, 2), ((1, 0), (0, 1)), (1, 2), ("true", "false")
    )
    for (outputs, group), kernel, stride, pad, dilation, bias in grid:
        fields = (
            f"num_output: {outputs} group: {group} dilation: {dilation} bias_term: {bias} "
            f"{_windows(*kernel, (stride, stride), pad)}"
        )
        yield _one(f"convolution {fields}", "Convolution", fields, (1, 6, 6, 5))
    for name, fields, shape in (
        ("pads", "num_output: 5 pad: 1 pad: 2 kernel_size: 3 stride: 2 bias_term: false", (1, 3, 10, 10)),
        (
            "lists",
            "num_output: 5 pad: 1 pad: 2 kernel_size: 3 kernel_size: 5 stride: 2 stride: 1 dilation: 1 dilation: 2",
            (1, 3, 10, 10),
        ),
        (
            "lists and groups",
            "num_output: 6 pad: 1 pad: 2 kernel_size: 3 kernel_size: 5 stride: 2 stride: 1 dilation: 1 dilation: 2 "
            "group: 2",
            (1, 2, 10, 10),
        ),
        (
            "rectangle of dilations",
            f"num_output: 5 {_windows(3, 5, (2, 1), (1, 2))} dilation: 1 dilation: 2",
            (1, 3, 10, 10),
        ),
        ("three groups", f"num_output: 12 group: 3 {_windows(4, 5, (2, 3), (0, 1))}", (2, 6, 15, 23)),
    ):
        yield _one(f"convolution of {name}", "Convolution", fields, shape)
    for channels, outputs in product((3, 6), (3, 6)):
        yield Case(
            f"grouped {channels} to {outputs} then PReLU",
            f"Convolution x -> c {{ convolution_param {{ num_output: {outputs} kernel_size: 3 group: 3 }} }}\n"
            "PReLU c -> y",
            {"x": (1, channels, 16, 16)},
        )


def _deconvolutions() -> Iterator[Case]:
    grid = product((4, 9), ((3, 1), (1, 3)), ((1, 0), (0, 1)), (1, 2), ((1, 1), (2, 2), (1, 2)), ("true", "false"))
    for outputs, kernel, pad, dilation, stride, bias in grid:
        fields = f"num_output: {outputs} dilation: {dilation} bias_term: {bias} {_windows(*kernel, stride, pad)}"
        yield _one(f"deconvolution {fields}", "Deconvolution", fields, (1, 6, 6, 5))
    for name, fields, shape in (
        ("pads", "num_output: 5 pad: 1 pad: 2 kernel_size: 3 stride: 2 bias_term: false", (1, 4, 8, 8)),
        ("rectangle", f"num_output: 5 {_windows(3, 5, (2, 1), (1, 2))}", (1, 4, 8, 8)),
        ("three groups", f"num_output: 15 group: 3 {_windows(4, 5, (2, 3), (0, 1))}", (2, 12, 6, 7)),
    ):
        yield _one(f"deconvolution of {name}", "Deconvolution", fields, shape)


def _poolings() -> Iterator[Case]:
    for kind, kernel, stride, pad, shape in (
        *(
            ("MAX", kernel, stride, pad, shape)
            for shape, kernel, stride, pad in product(
                ((5, 5), (6, 7)),
                ((2, 2), (3, 3), (2, 3)),
                ((1, 1), (2, 2), (2, 3)),
                ((0, 0), (1, 1), (1, 0)),
            )
        ),
        *(
            ("AVE", kernel, stride, (0, 0), tuple((o - 1) * s + k for o, s, k in zip(out, stride, kernel, strict=True)))
            for out, kernel, stride in product(
                ((1, 1), (2, 2), (2, 3), (7, 4)), ((1, 1), (2, 2), (3, 3), (2, 3)), ((1, 1), (2, 2), (2, 3))
            )
        ),
        *((kind, (2, 3), (2, 1), (1, 2), (10, 10)) for kind in ("MAX", "AVE")),
        *((kind, (3, 5), (2, 1), (2, 1), (15, 13)) for kind in ("MAX", "AVE")),
        *((kind, (2, 2), (2, 2), (0, 0), (10, 10)) for kind in ("MAX", "AVE")),
        ("AVE", (2, 2), (2, 2), (0, 0), (3, 3)),
    ):
        fields = f"pool: {kind} {_windows(*kernel, stride, pad)}"
        name = f"pooling of {shape[0]}x{shape[1]} {fields}"
        yield _one(name, "Pooling", fields, (1, 3, *shape))
    for kind in ("MAX", "AVE"):
        yield _one(f"global pooling {kind}", "Pooling", f"pool: {kind} global_pooling: true", (1, 3, 10, 10))
    yield _one("pooling with a mask", "Pooling", "kernel_size: 2 stride: 2", (1, 1, 10, 10), "y,mask")


def _crops() -> Iterator[Case]:
    for axis, number, value in product((0, 1, 2), (0, 1, 2, 4), (3, 4)):
        if number > 1 and number != 4 - axis:
            # Caffe refuses them.
            continue
        offsets = " ".join(f"offset: {value}" for _ in range(number))
        more = value if number else 0
        shape = (1 + more * (axis < 1), 3 + more * (axis < 2), 20, 30)
        yield Case(
            f"crop of axis {axis} with {number} offsets of {value}",
            f"Crop x,z -> y {{ crop_param {{ axis: {axis} {offsets} }} }}",
            {"x": shape, "z": (1, 3, 10, 12)},
        )
    for name, fields, shapes in (
        ("by default", "", ((3, 4, 12, 12), (3, 2, 5, 6))),
        ("from channels on", "axis: 1", ((3, 4, 12, 12), (3, 2, 5, 6))),
        ("by one offset", "axis: 1 offset: 2", ((3, 4, 12, 12), (3, 2, 5, 6))),
        ("by three offsets", "axis: 1 offset: 1 offset: 2 offset: 4", ((3, 4, 12, 12), (3, 2, 5, 6))),
        ("by two offsets", "axis: 2 offset: 2 offset: 4", ((3, 4, 12, 12), (3, 2, 5, 6))),
        ("of three axes", "axis: 1 offset: 2 offset: 4", ((4, 12, 12), (2, 5, 6))),
        ("of two axes", "axis: 0 offset: 2 offset: 4", ((12, 12), (5, 6))),
    ):
        yield Case(
            f"crop {name}", f"Crop x,z -> y {{ crop_param {{ {fields} }} }}", dict(zip("xz", shapes, strict=True))
        )


def _lrns() -> Iterator[Case]:
    terms = [(0.9, 1.0, 1.1), (0.9, 1.1, 1.0), (1.0, 0.9, 1.1), (1.0, 1.1, 0.9), (1.1, 0.9, 1.0), (1.1, 1.0, 0.9)]
    grid = product(((6, 8, 5), (7, 6, 11)), (3, 5), terms, ("ACROSS_CHANNELS", "WITHIN_CHANNEL"))
    for shape, size, (alpha, beta, k), region in grid:
        fields = f"local_size: {size} alpha: {alpha} beta: {beta} k: {k} norm_region: {region}"
        yield _one(f"LRN of {shape[0]} channels {fields}", "LRN", fields, (1, *shape))
    for fields in ("", "local_size: 3", "local_size: 3 alpha: 2", "local_size: 3 alpha: 2 beta: 0.5 k: 2"):
        yield _one(f"LRN of few channels {fields}", "LRN", fields, (1, 3, 10, 10))


def _reductions() -> Iterator[Case]:
    for kind in ("SUM", "ASUM", "SUMSQ", "MEAN"):
        for shape, axis, coeff in (
            ((10,), 0, 1),
            ((10,), 0, 0.5),
            ((10,), 0, 0),
            ((5, 6), 1, 1),
            ((3, 4, 5), 2, 7),
            ((3, 4, 5, 6), 1, 1),
            ((3, 4, 5, 6), 3, 5),
            ((2, 3, 4, 5, 6), 3, 1),
            ((2, 3, 4, 5, 6), 4, 2),
        ):
            fields = f"operation: {kind} axis: {axis} coeff: {coeff}"
            yield _one(f"reduction of {len(shape)} axes {fields}", "Reduction", fields, shape)


def _arrangements() -> Iterator[Case]:
    for dims, more in (
        ((4, 3, 4), ""),
        ((2, 0, 3), ""),
        ((2, 0, -1), ""),
        ((0, -1), ""),
        ((2, 3), "axis: 2"),
        ((4, 3, 4), "axis: 1"),
        ((4, 3, 4), "axis: -3"),
        ((2, 4), "axis: 1 num_axes: 1"),
        ((3, 16), "axis: 1 num_axes: 2"),
    ):
        fields = f"shape {{ {' '.join(f'dim: {dim}' for dim in dims)} }} {more}"
        yield _one(f"reshape {fields}", "Reshape", fields, (1, 8, 6))
    for fields, shape in (
        ("axis: 2 num_axes: 1 shape { }", (4, 3, 1, 2)),
        ("shape { dim: -1 dim: 2048 }", (1, 128, 4, 4)),
        ("shape { dim: 3 dim: 1 dim: 2 }", (1, 2, 3)),
    ):
        yield _one(f"reshape {fields}", "Reshape", fields, shape)
    for fields, tops in (
        ("axis: 1 slice_point: 1", "a,b"),
        ("axis: -1 slice_point: 1", "a,b"),
        ("axis: 2 slice_point: 1 slice_point: 6", "a,b,c"),
        ("", "a,b,c"),
    ):
        yield _one(f"slice into {tops} {fields}", "Slice", fields, (1, 3, 10, 10), tops)
    for axis, shapes in (
        (1, ((1, 3, 10, 10), (1, 2, 10, 10))),
        (0, ((3, 10, 10), (2, 10, 10))),
        (0, ((3, 10), (2, 10))),
    ):
        layer = f"Concat x,z -> y {{ concat_param {{ axis: {axis} }} }}"
        yield Case(f"concat of {len(shapes[0])} axes by {axis}", layer, dict(zip("xz", shapes, strict=True)))
    yield _one("flatten by 1", "Flatten", "axis: 1", (1, 3, 10, 10))
    for shape, group in product(((1, 6, 5, 7), (3, 12, 1, 4)), (1, 2, 3, 6)):
        layer = f"ShuffleChannel x -> y {{ shuffle_channel_param {{ group: {group} }} }}"
        yield Case(f"shuffle {shape[1]} channels by {group}", layer, {"x": shape})


def _neurons() -> Iterator[Case]:
    for slope in (2.0, 0.3, -0.1, 0.0):
        yield Case(
            f"ReLU in place with a slope of {slope}",
            "Pooling x -> p { pooling_param { pool: AVE kernel_size: 2 stride: 2 } }\n"
            f"ReLU:r p -> p {{ relu_param {{ negative_slope: {slope} }} }}",
            {"x": (1, 3, 10, 10)},
        )
    for kind in ("TanH", "Sigmoid", "BNLL", "PReLU", "Scale", "Scale { scale_param { bias_term: true } }"):
        name, _, fields = kind.partition(" ")
        yield Case(
            f"{kind.replace(' {', ',').replace(' }', '')} in place after a pooling",
            "Pooling x -> p { pooling_param { pool: AVE kernel_size: 2 stride: 2 } }\n"
            f"{name}:r p -> p {fields or '{}'}",
            {"x": (1, 3, 10, 10)},
        )
    for eps in (1e-3, 1e-4, 1e-5):
        yield Case(
            f"BatchNorm in place with an eps of {eps:.0e}",
            "Pooling x -> p { pooling_param { pool: AVE kernel_size: 2 stride: 2 } }\n"
            f"BatchNorm:r p -> p {{ batch_norm_param {{ eps: {eps} moving_average_fraction: 0.88 }} }}",
            {"x": (1, 3, 10, 10)},
        )
    fields = "use_global_stats: false moving_average_fraction: 999.982"
    yield _one("BatchNorm of the batch, with an absurd fraction", "BatchNorm", fields, (1, 2, 3, 4))
    for power, scale, shift in (
        (0.9, 1, 1.1),
        (0.9, 1.1, 1),
        (1, 0.9, 1.1),
        (1, 1.1, 0.9),
        (1.1, 0.9, 1),
        (1.1, 1, 0.9),
    ):
        fields = f"power: {power} scale: {scale} shift: {shift}"
        layers = f"Sigmoid x -> p {{}}\nPower p -> y {{ power_param {{ {fields} }} }}"
        yield Case(f"power {fields}", layers, {"x": (1, 3, 5, 5)})
    yield _one("dropout", "Dropout", "dropout_ratio: 0.7", (1, 3, 10, 10))
    for kind, shapes in (
        ("TanH", ((10,), (10, 10), (3, 10, 10), (1, 3, 10, 10))),
        ("ReLU", ((10, 20), (1, 3, 10, 10))),
        ("PReLU", ((10, 20),)),
    ):
        for shape in shapes:
            yield Case(f"{kind} of {len(shape)} axes", f"{kind} x -> y {{}}", {"x": shape})
    for shape, axis in (((10, 10), 0), ((2, 10, 10), 1), ((1, 1024, 1, 1), 1), ((1, 3, 1, 1), 1)):
        yield _one(f"softmax of {shape} by {axis}", "Softmax", f"axis: {axis}", shape)


def _products() -> Iterator[Case]:
    for (channels, height, width), outputs, bias in product(
        ((3, 4, 5), (4, 5, 4), (3, 1, 1)), (3, 4), ("true", "false")
    ):
        fields = f"num_output: {outputs} bias_term: {bias}"
        yield _one(
            f"inner product of {channels}x{height}x{width} {fields}",
            "InnerProduct",
            fields,
            (1, channels, height, width),
        )
    yield _one("inner product of the last axis", "InnerProduct", "num_output: 2 axis: 3", (2, 3, 5, 7))
    for shape, bias in product(((20,), (4, 5), (2, 2, 5), (2, 2, 5, 1)), ("true", "false")):
        fields = f"num_output: 6 input_dim: 20 bias_term: {bias}"
        layer = f"Embed x -> y {{ embed_param {{ {fields} }} }}"
        yield Case(f"embed of {len(shape)} axes, bias {bias}", layer, {"x": shape}, {"x": 20})


def _combined() -> Iterator[Case]:
    three = {"x": (1, 3, 5, 6), "z": (1, 3, 5, 6)}
    for fields in ("operation: PROD", "operation: SUM", "operation: MAX", "operation: SUM coeff: 0.5 coeff: 1"):
        yield Case(f"eltwise {fields}", f"Eltwise x,z -> y {{ eltwise_param {{ {fields} }} }}", three)
    coefficients = "coeff: 1.5 coeff: -0.5 coeff: 2 coeff: -1.25"
    for fields, number in product(("operation: PROD", "operation: SUM", "operation: MAX", coefficients), (1, 2, 3)):
        names = [f"c{index}" for index in range(number)]
        given = " ".join(fields.split()[: 2 * (number + 1)])
        convolutions = "\n".join(
            f"Convolution x -> {name} {{ convolution_param {{ num_output: 2 kernel_size: 1 bias_term: false }} }}"
            for name in names
        )
        layers = f"{convolutions}\nEltwise x,{','.join(names)} -> y {{ eltwise_param {{ {given} }} }}"
        yield Case(f"eltwise of an input and {number} convolutions, {given}", layers, {"x": (1, 2, 8, 6)})
    for channels in ((2,), (3, 4), (1, 6, 2)):
        names = [f"c{index}" for index in range(len(channels))]
        layers = "\n".join(
            f"Convolution x -> {name} {{ convolution_param {{ num_output: {number} kernel_size: 1 }} }}"
            for name, number in zip(names, channels, strict=True)
        )
        yield Case(
            f"concat of an input and {channels}", f"{layers}\nConcat x,{','.join(names)} -> y", {"x": (1, 2, 8, 6)}
        )
    for axis, number in ((0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)):
        shape = (2, 3, 4, 5)
        inputs = {"x": shape, "s": shape[axis : axis + number]}
        scale = f"{{ scale_param {{ axis: {axis} }} }}"
        yield Case(f"scale by {number} axes from {axis}", f"Scale x,s -> y {scale}", inputs)
        yield Case(
            f"scale by {number} axes from {axis} after a convolution",
            "Convolution x -> c { convolution_param { num_output: 3 kernel_size: 1 group: 3 bias_term: false } }\n"
            f"Scale c,s -> y {scale}",
            inputs,
        )
    yield Case(
        "two bottoms of one convolution",
        "Convolution x,z -> a,b { convolution_param { num_output: 2 pad: 1 kernel_size: 2 stride: 2 } }\n"
        "Eltwise a,b -> y { eltwise_param { operation: SUM } }",
        {"x": (1, 3, 4, 5), "z": (1, 3, 4, 5)},
    )


_NETS: Mapping[str, tuple[str, Mapping[str, Shape]]] = {
    "reshape, slice, split": (
        """Split:split x -> s0,s1
        Slice:slice0 s0 -> a0,a1,a2 { slice_param { slice_point: 1 slice_point: 2 } }
        Slice:slice1 s1 -> b0,b1,b2 { slice_param { slice_point: 1 slice_point: 2 } }
        Sigmoid:alter b2 -> b2
        Concat:concat a0,b1,a2 -> c
        Reshape:deep c -> d { reshape_param { shape { dim: 0 dim: 1 dim: 1 dim: -1 dim: 1 } axis: 1 num_axes: 1 } }
        Flatten:flat d -> f
        Split:out f -> y""",
        {"x": (6, 12)},
    ),
    "a concat that another layer reads beside": (
        """Convolution x -> c { convolution_param { num_output: 6 kernel_size: 1 } }
        ReLU c -> r
        Concat r -> one
        Convolution:consumer r -> d { convolution_param { num_output: 6 kernel_size: 1 } }
        Eltwise one,d -> y""",
        {"x": (1, 2, 3, 4)},
    ),
    "concats that share an input": (
        """Convolution x -> a { convolution_param { num_output: 8 kernel_size: 1 } }
        Convolution a -> b { convolution_param { num_output: 3 kernel_size: 1 } }
        Concat b,a -> ba
        Convolution ba -> c { convolution_param { num_output: 8 kernel_size: 1 } }
        Convolution c -> d { convolution_param { num_output: 8 kernel_size: 1 } }
        Concat d,a -> y""",
        {"x": (1, 2, 3, 4)},
    ),
    "eltwise of four, three and two axes": (
        """Eltwise x,x -> s { eltwise_param { operation: SUM coeff: 0.1 coeff: 0.2 } }
        Reshape x -> x3 { reshape_param { shape { dim: 6 dim: 2 dim: 35 } } }
        Reshape s -> s3 { reshape_param { shape { dim: 6 dim: 2 dim: 35 } } }
        Eltwise x3,s3 -> p { eltwise_param { operation: PROD } }
        Reshape s -> s2 { reshape_param { shape { dim: 2 dim: 210 } } }
        Reshape p -> p2 { reshape_param { shape { dim: 2 dim: 210 } } }
        Eltwise s2,p2 -> y { eltwise_param { operation: MAX } }""",
        {"x": (2, 6, 5, 7)},
    ),
    "PReLU by channel in place, then shared": (
        "PReLU:first x -> x { prelu_param { channel_shared: false } }\n"
        "PReLU x -> y { prelu_param { channel_shared: true } }",
        {"x": (2, 6, 5, 7)},
    ),
    "PReLU after an inner product, in place and not": (
        "InnerProduct:fc x -> f { inner_product_param { num_output: 10 } }\nPReLU:first f -> f\nPReLU f -> y",
        {"x": (2, 3, 4, 5)},
    ),
    "interp to a size, then zoomed": (
        "Interp x -> a { interp_param { height: 9 width: 8 } }\nInterp a -> y { interp_param { zoom_factor: 2 } }",
        {"x": (2, 3, 4, 5)},
    ),
    "norm over channels by pooling": (
        """Power x -> q { power_param { power: 2 } }
        Reshape q -> r { reshape_param { shape { dim: 1 dim: 1 dim: 3 dim: -1 } axis: 0 num_axes: -1 } }
        Pooling r -> p { pooling_param { pool: AVE kernel_w: 1 kernel_h: 3 stride_h: 1 stride_w: 1 } }
        Power p -> m { power_param { scale: 3 power: 0.5 } }
        Reshape m -> y { reshape_param { shape { dim: 1 dim: 1 dim: 4 dim: -1 } axis: 0 num_axes: -1 } }""",
        {"x": (1, 3, 4, 3)},
    ),
    "a convolution whose ReLU is a further top": (
        "Convolution x -> c { convolution_param { num_output: 2 kernel_size: 1 } }\nReLU c -> r\nEltwise c,r -> y",
        {"x": (1, 1, 2, 3)},
    ),
    "a name that two layers have": (
        """Convolution:conv x -> a { convolution_param { num_output: 1 kernel_size: 1 } }
        Convolution:conv z -> b { convolution_param { num_output: 1 kernel_size: 1 } }
        InnerProduct:sum a -> c { inner_product_param { num_output: 1 } }
        InnerProduct:sum b -> d { inner_product_param { num_output: 1 } }
        Concat c,d -> y""",
        {"x": (1, 1, 2, 2), "z": (1, 1, 2, 2)},
    ),
    "pooling and unpooling": (
        "Pooling x -> p,mask { pooling_param { kernel_size: 2 stride: 2 } }\n"
        "Upsample p,mask -> y { upsample_param { scale: 2 } }",
        {"x": (1, 1, 4, 4)},
    ),
    "axpy": ("Axpy a,x,z -> y {}", {"a": (1, 2, 1, 1), "x": (1, 2, 3, 4), "z": (1, 2, 3, 4)}),
    "priors of several sizes": (
        "PriorBox s,data -> y { prior_box_param { min_size: 2 min_size: 3 max_size: 6 max_size: 7 aspect_ratio: 2 "
        "flip: true clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }",
        {"data": (1, 3, 10, 10), "s": (1, 2, 3, 4)},
    ),
    "priors that are squares": (
        "PriorBox x,x -> y { prior_box_param { min_size: 2 flip: true clip: true aspect_ratio: 1 variance: 0.1 "
        "variance: 0.1 variance: 0.2 variance: 0.2 } }",
        {"x": (1, 1, 1, 2)},
    ),
    "regions beyond the image and turned around": (
        "ROIPooling x,rois -> y { roi_pooling_param { pooled_w: 6 pooled_h: 6 spatial_scale: 0.0625 } }",
        {"x": (4, 3, 21, 17), "rois": (100, 5)},
    ),
}

_REGIONS = np.random.default_rng(1)
_GIVEN = {
    "regions beyond the image and turned around": {
        "rois": np.column_stack([_REGIONS.integers(0, 4, 100), _REGIONS.integers(-10, 30, (100, 4))])
    },
}

COMBINATIONS = [
    *_convolutions(),
    *_deconvolutions(),
    *_poolings(),
    *_crops(),
    *_lrns(),
    *_reductions(),
    *_arrangements(),
    *_neurons(),
    *_products(),
    *_combined(),
    *(Case(name, layers, shapes, given=_GIVEN.get(name, {})) for name, (layers, shapes) in _NETS.items()),
]

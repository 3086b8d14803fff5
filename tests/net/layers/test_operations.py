"""Operations of every layer type, from fields, defaults, phase and shapes."""

from collections.abc import Callable

import pytest

from filler_server.net.operations import Custom, Operation, Unknown
from filler_server.net.operations.activations import Dropout
from filler_server.net.operations.combination import HDF5Output, Silence
from filler_server.net.operations.convolution import Convolution
from filler_server.net.operations.data import ForkData
from filler_server.net.plan import Layer, NetPlan, Shape
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net
from tests.net.layers.cases import CASES
from tests.net.layers.fork_cases import FORK_CASES
from tests.net.layers.operation_cases import OPERATIONS

OPEN = {"Python", "Unknown"}
"""Operations that say themselves that they do not say what is computed."""


@pytest.mark.parametrize(("fields", "bottoms", "operation"), OPERATIONS)
def test_operations(set_up: Callable[..., Layer], fields: str, bottoms: list[Shape], operation: Operation) -> None:
    assert set_up(fields, *bottoms).operation == operation


@pytest.mark.parametrize(("fields", "bottoms", "tops", "blobs"), [*CASES, *FORK_CASES])
def test_every_layer_type_has_one(
    set_up: Callable[..., Layer], fields: str, bottoms: list[Shape], tops: list[Shape], blobs: list[Shape]
) -> None:
    operation = set_up(fields, *bottoms).operation
    if isinstance(operation, Unknown):
        # What a fork requires and the case, which is about shapes, leaves out.
        assert operation.reason.startswith(("spatial_scale is required", "roi_per_img is required", "variance"))
    assert repr(operation).startswith(type(operation).__name__)


def test_every_operation_is_some_layer_s() -> None:
    covered = {type(operation).__name__ for _, _, operation in OPERATIONS}
    rest = {Silence.__name__, HDF5Output.__name__, "Transform", Unknown.__name__}
    assert covered | rest == set(Operation.kinds)


def test_sinks(plan: Callable[..., NetPlan]) -> None:
    net = plan(
        'layer { name: "i" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 } } }'
        'layer { name: "s" type: "Silence" bottom: "a" }'
        'layer { name: "h" type: "HDF5Output" bottom: "a" bottom: "b" hdf5_output_param { file_name: "x.h5" } }'
    )
    assert [layer.operation for layer in net.layers[1:]] == [Silence(), HDF5Output(file_name="x.h5")]


@pytest.mark.parametrize(("net", "own", "random"), [(0, "", True), (1, "", False), (0, "phase: TEST", False)])
def test_the_phase_is_the_layer_s_own_or_the_net_s(
    plan: Callable[..., NetPlan], net: int, own: str, random: bool
) -> None:
    text = (
        'layer { name: "i" type: "Input" top: "a" input_param { shape { dim: 2 } } }'
        f'layer {{ name: "d" type: "Dropout" bottom: "a" top: "a" {own} }}'
    )
    assert plan(text, phase=net).layers[1].operation == Dropout(random=random)


def test_an_unknown_type_has_an_unknown_operation(set_up: Callable[..., Layer]) -> None:
    assert set_up('type: "Nobodys"', (2, 3)).operation == Unknown(reason="unknown layer type 'Nobodys'")


def test_a_fork_s_type_that_does_not_fit_has_an_unknown_operation(set_up: Callable[..., Layer]) -> None:
    operation = set_up('type: "Permute" permute_param { order: 9 }', (2, 3)).operation
    assert isinstance(operation, Unknown)
    assert "order should be less than the input dimension" in operation.reason


@pytest.mark.parametrize(
    ("fields", "bottoms", "reason"),
    [
        (
            'type: "DetectionOutput" detection_output_param { num_classes: 21 normalized: false }',
            [(1, 24), (1, 126), (1, 2, 24)],
            "what detection_output_param.normalized means for it is not known",
        ),
        (
            'type: "Interp" interp_param { height: 3 width: 3 interp_type: BILINEAR }',
            [(1, 2, 4, 4)],
            "what interp_param.interp_type means for it is not known",
        ),
        (
            'type: "Normalize" norm_param { eps: wrong }',
            [(1, 2, 4, 4)],
            "norm_param.eps must be a finite number. Received: value='wrong'",
        ),
        (
            'type: "PSROIPooling" psroi_pooling_param { output_dim: 2 group_size: 1 }',
            [(1, 2, 4, 4), (3, 5)],
            "spatial_scale is required. Received: ",
        ),
    ],
)
def test_fields_of_forks_that_are_not_understood_leave_the_operation_unknown_and_the_shapes_known(
    set_up: Callable[..., Layer], fields: str, bottoms: list[Shape], reason: str
) -> None:
    layer = set_up(fields, *bottoms)
    assert layer.operation == Unknown(reason=reason)
    assert layer.tops[0].shape is not None


def test_what_a_binary_file_may_hide_leaves_the_operation_unknown() -> None:
    text = (
        'layer { name: "i" type: "Input" top: "a" input_param { shape { dim: [1, 2, 3, 4] } } }\n'
        'layer { name: "f" type: "Flip" bottom: "a" top: "b" }'
    )
    data = read_net(text.encode()).net.SerializeToString()
    assert repr(plan_net(read_net(data)).layers[1].operation) == "Flip()"
    # A layer with a field of a number that this schema does not have: it may be flip_param.
    net = read_net(text.encode()).net
    layer = net.layer[1].SerializeToString() + b"\xca\x3e\x02\x08\x00"
    del net.layer[1]
    hidden = net.SerializeToString() + b"\xa2\x06" + bytes([len(layer)]) + layer
    planned = plan_net(read_net(hidden)).layers[1]
    assert isinstance(planned.operation, Unknown)
    assert planned.operation.reason.startswith("flip_param was not read")
    assert planned.tops[0].shape == (1, 2, 3, 4)


def test_custom_operations_keep_what_the_prototxt_says(set_up: Callable[..., Layer]) -> None:
    layer = set_up(
        'type: "Yolov3DetectionOutput" yolov3_detection_output_param { num_classes: 9 biases: [1, 2] mask { a: "b" } }',
        (1, 75, 13, 13),
    )
    assert layer.operation == Custom(
        layer_type="Yolov3DetectionOutput",
        fields=(("yolov3_detection_output_param", "num_classes: 9 biases: 1 biases: 2 mask { a: b }"),),
    )


def test_fork_data_tell_how_they_transform_images(set_up: Callable[..., Layer]) -> None:
    layer = set_up(
        'type: "AnnotatedData" phase: TRAIN data_param { batch_size: 4 } annotated_data_param { }'
        "transform_param { crop_h: 20 crop_w: 24 mirror: true }"
    )
    assert isinstance(layer.operation, ForkData)
    assert (layer.operation.transform.crop, layer.operation.transform.random_crop) == ((20, 24), True)


def test_repr_is_short() -> None:
    operation = Convolution(num_output=64, kernel=(3, 3), stride=(1, 1), pad=(1, 1), dilation=(1, 1))
    assert repr(operation) == "Convolution(kernel=(3, 3), stride=(1, 1), pad=(1, 1), dilation=(1, 1), num_output=64)"

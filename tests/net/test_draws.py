from collections.abc import Callable

import pytest

from filler_server.net.draws import DataDraws, LayerDraws, net_draws
from filler_server.net.plan import NetPlan

Plan = Callable[..., NetPlan]

BATCH = "batch_size: 2"


def only(plan: NetPlan, data_draws: DataDraws | int = DataDraws.EMULATE) -> LayerDraws:
    (draws,) = (draws for draws in net_draws(plan, data_draws) if draws.layer.name == "it")
    return draws


def names(draws: LayerDraws) -> list[str]:
    return [blob.name for blob in draws.fills]


@pytest.mark.parametrize(
    ("layer", "train", "test"),
    [
        (f'type: "Data" top: "a" data_param {{ {BATCH} }}', 1, 1),
        (f'type: "Data" top: "a" data_param {{ {BATCH} }} transform_param {{ crop_size: 5 }}', 3, 1),
        (f'type: "Data" top: "a" data_param {{ {BATCH} }} transform_param {{ mirror: true }}', 3, 3),
        (f'type: "Data" top: "a" data_param {{ {BATCH} }} transform_param {{ mirror: true crop_size: 5 }}', 3, 3),
        (f'type: "Data" top: "a" data_param {{ {BATCH} crop_size: 5 mirror: true }}', 1, 1),
        (f'type: "Data" top: "a" data_param {{ {BATCH} rand_skip: 9 }}', 1, 1),
        (f'type: "ImageData" top: "a" top: "b" image_data_param {{ {BATCH} }}', 1, 1),
        (f'type: "ImageData" top: "a" top: "b" image_data_param {{ {BATCH} shuffle: true }}', 2, 2),
        (f'type: "ImageData" top: "a" top: "b" image_data_param {{ {BATCH} rand_skip: 9 }}', 2, 2),
        (
            f'type: "ImageData" top: "a" top: "b" image_data_param {{ {BATCH} rand_skip: 9 shuffle: true }}'
            "transform_param { crop_size: 5 }",
            5,
            3,
        ),
        (
            f'type: "WindowData" top: "a" top: "b" window_data_param {{ {BATCH} }} transform_param {{ crop_size: 5 }}',
            4,
            2,
        ),
        (
            f'type: "WindowData" top: "a" top: "b" window_data_param {{ {BATCH} }}'
            "transform_param { crop_size: 5 mirror: true }",
            4,
            4,
        ),
        (
            f'type: "MemoryData" top: "a" top: "b"memory_data_param {{ {BATCH} channels: 1 height: 3 width: 3 }}',
            0,
            0,
        ),
        (
            'type: "MemoryData" top: "a" top: "b" transform_param { crop_size: 2 }'
            f"memory_data_param {{ {BATCH} channels: 1 height: 3 width: 3 }}",
            1,
            0,
        ),
        (f'type: "HDF5Data" top: "a" hdf5_data_param {{ {BATCH} shuffle: true }}', 0, 0),
        (
            'type: "DummyData" top: "a"dummy_data_param { shape { dim: 2 } data_filler { type: "gaussian" } }',
            0,
            0,
        ),
        ('type: "Input" top: "a" input_param { shape { dim: 2 } }', 0, 0),
        ('type: "Python" top: "a"', 0, 0),
    ],
)
def test_outputs_that_seed_other_engines(plan: Plan, layer: str, train: int, test: int) -> None:
    text = f'layer {{ name: "it" {layer} }}'
    for phase, seeds in ((0, train), (1, test)):
        planned = plan(text, phase=phase)
        assert (only(planned).seeds, only(planned).fills) == (seeds, ())
        assert only(planned, DataDraws.NONE).seeds == 0
        assert only(planned, 7).seeds == (7 if draws_at_all(layer) else 0)


def draws_at_all(layer: str) -> bool:
    """Whether layers of the type draw to read data, in some state."""
    return not any(f'"{name}"' in layer for name in ("HDF5Data", "DummyData", "Input", "Python"))


def test_the_reader_of_rc3_draws_once_more(plan: Plan) -> None:
    mirrored = f"data_param {{ {BATCH} }} transform_param {{ mirror: true }}"
    data = plan(f'layer {{ name: "it" type: "Data" top: "a" {mirrored} }}')
    assert (only(data).seeds, only(data, DataDraws.RC3).seeds) == (3, 4)
    ssd = plan(f'layer {{ name: "it" type: "AnnotatedData" top: "a" {mirrored} }}')
    assert (only(ssd).seeds, only(ssd, DataDraws.RC3).seeds) == (4, 4)


@pytest.mark.parametrize("kind", ["BoxData", "FloatData", "ImageSegUniformSizeData", "NoTypeOfAnyFork"])
def test_of_data_layers_without_a_public_source_nothing_is_claimed(plan: Plan, kind: str) -> None:
    planned = plan(f'layer {{ name: "it" type: "{kind}" top: "a" data_param {{ {BATCH} }} }}')
    assert [only(planned, how).seeds for how in (DataDraws.EMULATE, DataDraws.NONE, 2)] == [None, 0, 2]


def test_a_phase_of_its_own_counts_before_that_of_the_net(plan: Plan) -> None:
    data = f"data_param {{ {BATCH} }} transform_param {{ crop_size: 5 }}"
    text = f'layer {{ name: "it" type: "Data" top: "a" phase: %s {data} }}'
    assert only(plan(text % "TRAIN", phase=1)).seeds == 3
    assert only(plan(text % "TEST", phase=0)).seeds == 1


INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 6 } } }\n'


def test_blobs_are_filled_in_order_shared_ones_too(plan: Plan) -> None:
    planned = plan(
        INPUT
        + "".join(
            f'layer {{ name: "{name}" type: "InnerProduct" bottom: "x" top: "{name}" param {{ name: "w" }}'
            "inner_product_param { num_output: 3 } }\n"
            for name in ("one", "it")
        )
    )
    assert [names(draws) for draws in net_draws(planned)] == [[], ["one/0", "one/1"], ["it/0", "it/1"]]
    assert [blob.owner for blob in only(planned).fills] == ["one/0", None]
    assert only(planned).times == 0
    assert only(planned).refills == ()


def test_blobs_that_the_prototxt_holds_are_not_filled(plan: Plan) -> None:
    planned = plan(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 2 dim: 3 } } }\n'
        'layer { name: "it" type: "PReLU" bottom: "x" top: "y" blobs { shape { dim: 2 } data: 1 data: 2 } }\n'
        'layer { name: "next" type: "PReLU" bottom: "y" top: "z" }'
    )
    assert names(only(planned)) == []
    assert [names(draws) for draws in net_draws(planned)] == [[], [], ["next/0"]]


def recurrent(kind: str, steps: str = "dim: 5 dim: 2 dim: 3", *, static: bool = False) -> str:
    more = 'layer { name: "s" type: "Input" top: "s" input_param { shape { dim: 2 dim: 4 } } }\n' if static else ""
    bottom = 'bottom: "s"' if static else ""
    return (
        f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {steps} }} }} }}\n'
        'layer { name: "c" type: "Input" top: "c" }\n'
        f'{more} layer {{ name: "it" type: "{kind}" bottom: "x" bottom: "c" {bottom} top: "h"'
        "recurrent_param { num_output: 7 } }"
    )


@pytest.mark.parametrize(
    ("kind", "static", "fills", "refills"),
    [("LSTM", False, 3, 1), ("LSTM", True, 4, 1), ("RNN", False, 5, 3), ("RNN", True, 6, 3)],
)
def test_a_recurrent_layer_fills_its_hidden_blobs_at_each_timestep(
    plan: Plan, kind: str, static: bool, fills: int, refills: int
) -> None:
    draws = only(plan(recurrent(kind, static=static)))
    assert names(draws) == [f"it/{index}" for index in range(fills)]
    assert draws.refills == draws.fills[-refills:]
    assert draws.times == 4


def test_timesteps_may_be_unknown(plan: Plan) -> None:
    text = recurrent("LSTM").replace("input_param { shape { dim: 5 dim: 2 dim: 3 } }", "")
    assert only(plan(text, inputs={"x": (None, 2, 3)})).times is None
    assert only(plan(text)).times is None
    assert only(plan(recurrent("LSTM"), inputs={"x": (1, 2, 3)})).times == 0

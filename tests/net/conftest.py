"""Ways to plan small nets."""

from collections.abc import Callable
from typing import Any

import pytest

from filler_server.net.plan import Layer, NetPlan, Shape
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net


@pytest.fixture(scope="session")
def plan() -> Callable[..., NetPlan]:
    """Plan a net from text; options as for `plan_net`."""

    def from_text(text: str, **options: Any) -> NetPlan:
        return plan_net(read_net(text.encode()), **options)

    return from_text


@pytest.fixture(scope="session")
def set_up(plan: Callable[..., NetPlan]) -> Callable[..., Layer]:
    """Set up one layer, called `it`, over bottoms of these shapes; None, or None in one, is unknown.

    The fields are those of the layer but for name and bottoms; unless they name tops, it has one, called `top`.
    """

    def one_layer(fields: str, *bottoms: Shape) -> Layer:
        names = [f"bottom{index}" for index in range(len(bottoms))]
        inputs = "".join(f'layer {{ name: "{name}" type: "Input" top: "{name}" }}\n' for name in names)
        wiring = "".join(f'bottom: "{name}" ' for name in names)
        top = "" if "top:" in fields else 'top: "top"'
        text = f'{inputs}layer {{ name: "it" {wiring} {top} {fields} }}'
        return plan(text, inputs=dict(zip(names, bottoms, strict=True))).layers[-1]

    return one_layer

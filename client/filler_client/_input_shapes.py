"""Shapes of inputs in place of those that a net has for them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.printable import shape_text
from filler_client import _requests
from filler_client._finetune import local_plan
from filler_client._requests import NetLike, NetOptions, PartialShape

if TYPE_CHECKING:
    from filler_server.net.plan import NetPlan, Shape


@dataclass(frozen=True, slots=True)
class OwnInput:
    """An input as a net has it: the index and the type of the layer that brings it, and its shape."""

    layer: int
    type: str
    shape: "Shape"


def own_inputs(net: NetLike, options: NetOptions) -> "dict[str, OwnInput]":
    """Return the inputs of a net as it has them itself, by their names.

    There are none where no shapes are given in place of theirs, or the net cannot be set up as it is.
    """
    if not options.get("inputs"):
        return {}
    bare = options.copy()
    bare["inputs"] = None
    try:
        plan = local_plan(_requests.plan_request(net, **bare))
    except FillerError:
        # The shapes that are given may be what it lacks; otherwise the error comes again.
        return {}
    tops = ((value.layer, plan.layers[value.layer].type, plan.top(value)) for value in plan.inputs)
    return {top.name: OwnInput(layer, kind, top.shape) for layer, kind, top in tops}


def plan_with_inputs(net: NetLike, options: NetOptions, own: "dict[str, OwnInput]", *, deploy: bool) -> "NetPlan":
    """Return the plan of a net, in which the batch of all tops of a data layer is that of the one whose shape is given.

    In a deploy form, that of all inputs of the same batch is: the labels are there no more when it is known.
    """
    shapes = dict(options.get("inputs") or {})
    for name, shape in tuple(shapes.items()):
        before = own.get(name)
        if before is None or not before.shape or not shape or shape[0] in (None, before.shape[0]):
            continue
        for other, found in own.items():
            together = deploy or (found.layer == before.layer and found.type != "Input")
            if other not in shapes and together and found.shape and found.shape[0] == before.shape[0]:
                shapes[other] = shape[0], *(None,) * (len(found.shape) - 1)
    followed = options.copy()
    followed["inputs"] = shapes
    return local_plan(_requests.plan_request(net, **followed))


@contextmanager
def telling_shapes(given: Mapping[str, PartialShape], own: "dict[str, OwnInput]") -> Iterator[None]:
    """Tell the shapes of inputs that are not the net's in an error at a layer or at weights: they may be its cause."""
    try:
        yield
    except InvalidArgument as error:
        shapes = {name: tuple(shape) for name, shape in given.items()}
        changed = [name for name, shape in shapes.items() if name not in own or own[name].shape != shape]
        if not changed or not (error.field == "weights" or error.layer is not None):
            raise
        raise error.within(f"with {', '.join(f'{name}={shape_text(shapes[name])}' for name in changed)}") from None

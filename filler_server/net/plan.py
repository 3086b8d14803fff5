"""The answer of the planner, which clients are given: a net whose shapes are known."""

from dataclasses import dataclass
from typing import Any

from caffe_filler.printable import counted
from filler_server.net.plan_json import plan_dict
from filler_server.net.planned import (
    Blob,
    Edge,
    Layer,
    PlannedNet,
    Shape,
    Top,
    Value,
    is_source,
    unique_names,
)
from filler_server.net.table import html_table, text_table

__all__ = ["Blob", "Edge", "Layer", "NetPlan", "Shape", "Top", "Value", "is_source", "unique_names"]


@dataclass(frozen=True, slots=True, repr=False)
class NetPlan(PlannedNet):
    """A net in one state (phase, level, stages), with every shape that can be known.

    Plans are equal when all that a client can see of them is. `print(plan)` shows a table, and so does a notebook.

    Attributes:
        name: that of the net.
        state: the state in which it was planned.
        layers: those that stand in it, in the order in which they compute.
        warnings: what is to be told of it although it could be planned.
        sequential: whether `draws` of the layers were counted.
    """

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, which JSON can hold: what `filler plan --json` prints."""
        return plan_dict(self)

    def __repr__(self) -> str:
        blobs = sum(1 for _ in self.blobs)
        return (
            f"NetPlan({self.name!r}, {self.phase}, {counted(len(self.layers), 'layer')}, {counted(blobs, 'blob')}, "
            f"{counted(self.parameters, 'parameter')})"
        )

    def __str__(self) -> str:
        return text_table(self)

    def _repr_html_(self) -> str:
        return html_table(self)

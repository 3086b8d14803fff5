"""Layers that a form of the model cannot say: refused all at once, with the tops before them."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from caffe_filler.errors import NetError
from caffe_filler.interface import either
from filler_server.models.graph import Graph, Node

_SHOWN = 50


class NoCounterpart(Exception):
    """A layer that cannot be said; the message is the reason, to be read after the layer's name."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A layer that cannot be said.

    Attributes:
        node: the layer.
        reason: why not.
    """

    node: Node
    reason: str


def refusals(nodes: Iterable[Node], say: Callable[[Node], object]) -> list[Refusal]:
    """Return the nodes for which `say` raises NoCounterpart, or NetError as a shape is not known."""
    found: list[Refusal] = []
    for node in nodes:
        try:
            say(node)
        except NoCounterpart as error:
            found.append(Refusal(node, str(error)))
        except NetError as error:
            found.append(Refusal(node, error.reason))
    return found


def refusal_error(graph: Graph, refused: Sequence[Refusal], form: str) -> NetError:
    """Return the error that names all refused layers, each with its reason, and the tops that need none of them.

    Args:
        graph: the whole.
        refused: at least one, in the order of the graph.
        form: name of the form of the model, such as ONNX.
    """
    lines = [f"{_place(refusal.node)}: {refusal.reason}" for refusal in refused[:_SHOWN]]
    if len(refused) > _SHOWN:
        lines.append(f"and {len(refused) - _SHOWN} more")
    before = tops_before(graph, [refusal.node for refusal in refused])
    number = "1 layer" if len(refused) == 1 else f"{len(refused)} layers"
    message = f"{form} has no counterpart of {number}: {'; '.join(lines)}"
    if before:
        options = either(python=f"tops={before!r}", cli=" ".join(f"--top {shlex.quote(top)}" for top in before))
        message += f". {options} stops before that"
    only = refused[0].node if len(refused) == 1 else None
    error = NetError(message)
    if only is not None:
        error.layer, error.line = only.name, only.line
    return error


def tops_before(graph: Graph, nodes: Sequence[Node]) -> list[str]:
    """Return the values, inputs aside, that some nodes read and that can be had without them, and such outputs."""
    without: set[str] = {top for node in nodes for top in node.tops}
    names = {node.name for node in nodes}
    read: list[str] = []
    for node in graph.nodes:
        if node.name in names:
            read.extend(bottom for bottom in node.bottoms if bottom not in without)
        if without.intersection(node.bottoms):
            without.update(node.tops)
    wanted = [*read, *(output for output in graph.outputs if output not in without)]
    return [value for value in dict.fromkeys(wanted) if value not in graph.inputs]


def _place(node: Node) -> str:
    line = "" if node.line is None else f", line {node.line}"
    return f"layer '{node.name}' ({node.type}{line})"

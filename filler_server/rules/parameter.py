"""A parameter of a model, as rules see it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Parameter(NamedTuple):
    """A parameter of a model, or a buffer.

    Attributes:
        name: its qualified name, that in the whole model.
        shape: the shape of the whole tensor, whatever part of it is held here.
        module: names of the class of the module that holds it and of the classes from which that is derived, each with
            and without the Python module in front; empty where nothing is known of modules.
        within: likewise, of all modules around that one.
        siblings: shapes of the parameters of the same module, its own included, by the last parts of their names.
        is_buffer: whether it is a buffer, which is not trained.
    """

    name: str
    shape: tuple[int, ...]
    module: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    siblings: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    is_buffer: bool = False


def parameters_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Parameter]:
    """Return parameters by name of which nothing but names and shapes is known.

    Those are of one module whose names have the same in front of their last dots.
    """
    siblings: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        path, _, own = name.rpartition(".")
        siblings.setdefault(path, {})[own] = shape
    return {name: Parameter(name, shape, siblings=siblings[name.rpartition(".")[0]]) for name, shape in shapes.items()}

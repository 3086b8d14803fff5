"""Explanations of fillers, and of the modules of other frameworks."""

from dataclasses import replace
from math import sqrt

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument, ShapeError
from caffe_filler.interface import either, option_name
from filler_server.diagnostics.explain.explanation import Explained, Explanation
from filler_server.diagnostics.explain.formulas import Formula, formula_of, needs_shape, paper_of
from filler_server.fillers import get_filler
from filler_server.fillers.variance_scaling import fan_in, fan_out
from filler_server.frameworks.modules import Module, Parameter
from filler_server.frameworks.translation import Translation, filler_text, of_call, of_filler

_FLOAT32 = np.dtype(np.float32)


def explain_filler(translation: Translation, shape: tuple[int, ...] | None) -> Explained:
    """Return the explanation of a filler.

    Args:
        translation: the filler in the words of the frameworks.
        shape: shape of its blob; None where nothing depends on it.

    Raises:
        ShapeError: it depends on the shape, which is not given or is none that it can fill.
    """
    filler = translation.filler
    if shape is None and needs_shape(filler):
        given = either(python="shape=(64, 3, 7, 7)", cli="--shape 64,3,7,7")
        raise ShapeError(f"the values of filler type '{filler.type}' depend on the shape of its blob: give {given}")
    return Explained(translation.source, (_explanation("", translation, shape),))


def explain_module(module: Module, shape: tuple[int, ...] | None) -> Explained:
    """Return what initializes each parameter of a module.

    Args:
        module: the module.
        shape: shape of its weight, as in Caffe: [out, in, ...]; None: formulas go without numbers.

    Raises:
        InvalidArgument: no weight of the module has this shape.
    """
    if shape is not None and not (shape and shape[0] % module.gates == 0):
        raise InvalidArgument(
            f"the first axis of the weight of {module.name} is a multiple of {module.gates}. "
            f"Received: shape={list(shape)}",
            field="shape",
        )
    parts = tuple(_parameter(module, parameter, shape) for parameter in module.parameters)
    notes = [module.note] if module.note else []
    if shape is None and any(part.distribution is None for part in parts):
        notes.append(f"{option_name('shape')} gives the shape of the weight, and formulas numbers")
    return Explained(module.name, parts, tuple(notes))


def _parameter(module: Module, parameter: Parameter, weight: tuple[int, ...] | None) -> Explanation:
    if parameter.bound is not None:
        return _bounded(module, parameter, weight)
    shape = None
    if weight is not None and parameter.role == "weight":
        shape = weight
    elif weight is not None and parameter.role == "recurrent":
        hidden = weight[0] // module.gates
        # The output of attention is a projection of its own; the states of all gates are one matrix.
        shape = (hidden, hidden) if parameter.name.startswith("out_proj") else (weight[0], hidden)
    return _explanation(parameter.name, of_call(parameter.initializer), shape)


def _bounded(module: Module, parameter: Parameter, weight: tuple[int, ...] | None) -> Explanation:
    """Explain a parameter that is uniform within 1 / sqrt(n), n being a size of the weight."""
    symbols = f"x ~ U[-s, s], s = 1 / sqrt({parameter.bound})"
    if weight is None:
        description = "Uniform values around 0."
        return Explanation(
            parameter.name, "", description, Formula(symbols, None), None, None, None, None, None, {}, ()
        )
    if parameter.bound != "hidden_size" and len(weight) < 2:
        raise InvalidArgument(
            f"the weight of {module.name} has two axes or more. Received: shape={list(weight)}", field="shape"
        )
    size = {
        "fan_in": fan_in(weight),
        "hidden_size": weight[0] // module.gates,
        "in1_features": weight[1] if len(weight) > 1 else 1,
    }[parameter.bound or "fan_in"]
    limit = 1 / sqrt(size)
    filler = FillerParameter(type="uniform", min=-limit, max=limit)
    shape = {"weight": weight, "recurrent": (weight[0], weight[0] // module.gates)}.get(parameter.role)
    found = _explanation(parameter.name, of_filler(filler_text(filler), filler), shape)
    numbers = f"x ~ U[-{limit:.6g}, {limit:.6g}], {limit:.6g} = 1 / sqrt({size})"
    return replace(found, formula=Formula(symbols, numbers))


def _explanation(name: str, translation: Translation, shape: tuple[int, ...] | None) -> Explanation:
    parameter = translation.filler
    filler = get_filler(parameter)
    distribution = None
    if shape is not None or not needs_shape(parameter):
        # Where nothing depends on the shape, any will do.
        filler.check((1,) if shape is None else shape)
        distribution = filler.distribution((1,) if shape is None else shape, _FLOAT32)
    return Explanation(
        name,
        translation.text,
        (type(filler).__doc__ or "").partition("\n")[0],
        formula_of(parameter, shape, distribution),
        shape,
        fan_in(shape) if shape else None,
        fan_out(shape) if shape else None,
        distribution,
        paper_of(parameter),
        translation.calls,
        translation.notes,
    )

"""The initializers of PyTorch, Keras and JAX by name, and fillers whose type is such a name."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError, InvalidArgument
from filler_server.frameworks import jax, keras, scaling, torch

Initializer: TypeAlias = Callable[..., FillerParameter]
"""Function with the framework's own parameters and defaults, which returns the filler that has the same values."""

_PARAMETERS = {
    "value": ("val", "value", "gain", "scale"),
    "min": ("a", "minval", "lower"),
    "max": ("b", "maxval", "upper"),
    "mean": ("mean",),
    "std": ("std", "stddev"),
    "variance_norm": ("mode",),
}
"""Fields of FillerParameter, and the parameters that they stand for."""

_FANS = {0: "fan_in", 1: "fan_out", 2: "fan_avg"}


def _functions(prefix: str, *modules: Any) -> dict[str, Initializer]:
    """Return the public functions that modules define and that make a filler, in their order."""
    return {
        f"{prefix}.{name}": function
        for module in modules
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
        and function.__annotations__["return"] is FillerParameter
    }


_keras, _jax = _functions("keras", keras, scaling), _functions("jax", jax, scaling)

NAMES: Mapping[str, Initializer] = MappingProxyType({**_functions("torch", torch), **_keras, **_jax})
"""Each by one name, such as "torch.kaiming_uniform_" or "keras.he_normal"."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        **{f"keras.{name.removeprefix('keras.').title().replace('_', '')}": name for name in _keras},
        **{f"keras.{name}": f"keras.{other}" for name, other in (("Orthogonal", "orthogonal"), ("one", "ones"))},
        **{f"keras.{name}": f"keras.{other}" for name, other in (("zero", "zeros"), ("normal", "random_normal"))},
        "keras.uniform": "keras.random_uniform",
        "keras.OrthogonalInitializer": "keras.orthogonal",
        "keras.IdentityInitializer": "keras.identity",
        **{f"jax.xavier_{kind}": f"jax.glorot_{kind}" for kind in ("uniform", "normal")},
        **{f"jax.kaiming_{kind}": f"jax.he_{kind}" for kind in ("uniform", "normal")},
        # Flax has these beside those of JAX.
        **{f"jax.{name}_init": f"jax.{name}" for name in ("zeros", "ones")},
    }
)
"""Further names of the same."""


def initializer(name: str) -> Initializer | None:
    """Return the initializer of a name or alias, or None."""
    return NAMES.get(ALIASES.get(name, name))


def fields_of(name: str) -> dict[str, str]:
    """Return the fields of FillerParameter that a filler of such a type reads, and the parameter of each."""
    found = initializer(name)
    parameters = inspect.signature(found).parameters if found else {}
    named = {field: next((name for name in names if name in parameters), None) for field, names in _PARAMETERS.items()}
    if "nonlinearity" in parameters:
        # There `a` is a slope, not a bound.
        named["min"] = None
    if "scale" in parameters and name.endswith(".uniform"):
        named["max"], named["value"] = "scale", None
    return {field: parameter for field, parameter in named.items() if parameter is not None}


def resolved(param: FillerParameter) -> FillerParameter | None:
    """Return the filler that a filler whose type is a name of another framework stands for, or None if it is none.

    Raises:
        FillerParameterError: a field is set that the initializer does not have, or one is missing or wrong.
    """
    function = initializer(param.type) if isinstance(param.type, str) else None
    if function is None:
        return None
    fields = fields_of(param.type)
    arguments: dict[str, Any] = {}
    for entry, value in param.ListFields():
        if entry.name == "type" or (entry.name not in fields and value == entry.default_value):
            continue
        if entry.name not in fields:
            known = f"which reads {', '.join(fields)}" if fields else "which reads none"
            raise FillerParameterError(
                f"{entry.name} is not a field of filler type '{param.type}', {known}. Received: {entry.name}={value}",
                field=entry.name,
            )
        arguments[fields[entry.name]] = _FANS[value] if entry.name == "variance_norm" else value
    missing = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty and name not in arguments
    ]
    if missing:
        field = next((field for field, parameter in fields.items() if parameter == missing[0]), None)
        remedy = f"give {field}" if field else "no field says it: take a type whose name does"
        raise FillerParameterError(
            f"filler type '{param.type}' has no default for {missing[0]}; {remedy}. Received: type='{param.type}'",
            field=field or "type",
        )
    try:
        return function(**arguments)
    except InvalidArgument as error:
        raise FillerParameterError(f"filler type '{param.type}': {error.reason}", field="type") from error

"""Calls of initializers as people write them in Python, read without running them."""

import ast
import inspect
import math
import operator
from collections.abc import Callable
from typing import Any

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument, UnknownFiller
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.frameworks.names import ALIASES, NAMES, initializer
from filler_server.frameworks.torch import square_of_gain

_LONGEST = 1000
_LARGEST = 1e300

_PREFIXES = {
    "torch": ("torch.nn.init", "nn.init", "init", "torch"),
    "keras": (
        "keras.initializers",
        "tf.keras.initializers",
        "tensorflow.keras.initializers",
        "tf.initializers",
        "keras",
    ),
    "jax": (
        "jax.nn.initializers",
        "flax.linen.initializers",
        "flax.nnx.initializers",
        "nn.initializers",
        "nnx.initializers",
        "jax",
    ),
}
"""Prefixes of the names of each framework."""

_PASSED_OVER = {"torch": ("tensor", "generator"), "keras": ("seed",), "jax": ("dtype",)}
"""Parameters that say nothing of the distribution."""

_AXES = {"in_axis": -2, "out_axis": -1, "batch_axis": ()}

_NOT_HERE = {
    "torch.sparse_": "it leaves an exact number of zeros in each column; 'gaussian' with sparse draws for each value "
    "whether it is kept",
    "jax.delta_orthogonal": "no filler has an orthogonal matrix in the middle of a kernel",
}

_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}


def read_call(text: str) -> tuple[str, FillerParameter]:
    """Return the name of the initializer that a call or a name means, and the filler of the same values.

    Numbers may be written as arithmetic with `math.sqrt`, `math.pi` and `calculate_gain`; the tensor of a call of
    PyTorch may be anything.

    Raises:
        InvalidArgument: it is neither, or its arguments make no initializer.
        UnknownFiller: there is no initializer of this name.
    """
    node = _parsed(text)
    call = node if isinstance(node, ast.Call) else None
    name = _known(_dotted(node if call is None else call.func, text), text)
    arguments, keywords = (call.args, call.keywords) if call else ([], [])
    return name, _made(name, list(arguments), list(keywords), text)


def _parsed(text: str) -> ast.expr:
    try:
        if len(text) > _LONGEST:
            raise ValueError  # noqa: TRY301 - too long is no call either
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InvalidArgument(
            f"an initializer is a name or a call, such as torch.nn.init.kaiming_uniform_(w, a=0.2). "
            f"Received: {text[:200]!r}"
        ) from None


def _dotted(node: ast.expr, text: str) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise InvalidArgument(f"an initializer is called by its name. Received: {text[:200]!r}")
    return ".".join([node.id, *reversed(parts)])


def _known(dotted: str, text: str) -> str:
    """Return the name in `NAMES` of a dotted one; without a framework, that of the only one, or of equal ones."""
    prefix, _, last = dotted.rpartition(".")
    frameworks = [name for name, known in _PREFIXES.items() if not prefix or prefix in known]
    found = [f"{framework}.{last}" for framework in frameworks]
    for name in found:
        if name in _NOT_HERE:
            raise UnknownFiller(f"no filler is {name}: {_NOT_HERE[name]}. Received: {text[:200]!r}", field="type")
    names = [ALIASES.get(name, name) for name in found if initializer(name)]
    if not names:
        known = {name.partition(".")[2]: name for name in (*NAMES, *ALIASES)}
        near = nearest(last, list(known))
        hint = did_you_mean(known[near] if near else None)
        raise UnknownFiller(f"no initializer of this name is known{hint}. Received: {text[:200]!r}", field="type")
    if len(names) > 1 and len({_default(name) for name in names}) > 1:
        raise InvalidArgument(f"{' and '.join(names)} differ: write which is meant. Received: {text[:200]!r}")
    return names[0]


def _default(name: str) -> bytes | None:
    """The filler of a name alone, as bytes; None where there is none."""
    try:
        return NAMES[name]().SerializeToString(deterministic=True)
    except TypeError:
        return None


def _made(name: str, arguments: list[ast.expr], keywords: list[ast.keyword], text: str) -> FillerParameter:
    framework = name.partition(".")[0]
    # Those that are called `None` are written with two stars.
    named = [(keyword.arg, keyword.value) for keyword in keywords if keyword.arg is not None]
    if len(named) < len(keywords) or any(isinstance(node, ast.Starred) for node in arguments):
        raise InvalidArgument(f"arguments are written one by one. Received: {text[:200]!r}")
    if framework == "torch" and arguments:
        if not _may_be_tensor(arguments[0]):
            raise InvalidArgument(
                f"the first argument of PyTorch's initializers is the tensor. Received: {text[:200]!r}"
            )
        del arguments[0]
    values: dict[str, Any] = {}
    for keyword, node in named:
        if keyword in _PASSED_OVER[framework]:
            continue
        value = _value(node, text)
        if framework == "jax" and keyword in _AXES:
            if value != _AXES[keyword]:
                raise InvalidArgument(
                    f"{keyword} is not a matter of the filler: in Caffe's blobs axis 0 is out and axis 1 in. "
                    f"Received: {text[:200]!r}"
                )
            continue
        values[keyword] = value
    function = NAMES[name]
    try:
        bound = inspect.signature(function).bind(*(_value(node, text) for node in arguments), **values)
    except TypeError as error:
        raise InvalidArgument(f"{name}: {error}. Received: {text[:200]!r}") from None
    for parameter, value in bound.arguments.items():
        is_text = inspect.signature(function).parameters[parameter].annotation is str
        if isinstance(value, str) != is_text:
            kind = "text" if is_text else "a number"
            raise InvalidArgument(f"{name}: {parameter} is {kind}. Received: {parameter}={value!r}")
    return function(*bound.args, **bound.kwargs)


def _may_be_tensor(node: ast.expr) -> bool:
    """Whether an expression is no number, text or other constant, whatever else it is."""
    try:
        _number(node)
    except ArithmeticError:
        return False
    except (KeyError, TypeError, ValueError, RecursionError):
        return not isinstance(node, ast.Constant)
    return False


def _value(node: ast.expr, text: str) -> Any:
    """Return the text, or the number, that an expression is."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Tuple) and not node.elts:
        return ()
    try:
        value = _number(node)
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError):
        value = math.nan
    if not abs(value) <= _LARGEST:
        shown = ast.unparse(node)[:200]
        raise InvalidArgument(
            f"arguments are numbers, texts, or arithmetic with math.sqrt and calculate_gain. Received: {shown!r}"
        )
    return value


def _number(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int(value) | float(value)) if not isinstance(value, bool):
            # Whole numbers count as floats, so that no power takes long.
            return value if abs(value) < 1 << 53 else float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _number(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_number(left), _number(right))
        case ast.Attribute(value=ast.Name(id="math" | "np" | "numpy" | "jnp"), attr="pi"):
            return math.pi
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[argument], keywords=[]) if (
            name == "sqrt"
        ):
            return math.sqrt(_number(argument))
        case ast.Call(
            func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(kind)), *rest], keywords=[]
        ) if name == "calculate_gain" and len(rest) < 2:
            return math.sqrt(square_of_gain(kind, *map(_number, rest)))
    raise ValueError

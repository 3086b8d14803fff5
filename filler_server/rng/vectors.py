"""Short vectors as values of Numba kernels: every operation is one operation on all lanes.

LLVM turns them into the vector registers that the CPU has, several for one vector where they are shorter, and unlike
the vectorizing of loops that does not depend on what it can prove. Imports Numba.

Numba's cache does not see a change of this file: remove `__pycache__` of the kernels that use it after one.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel.models import PrimitiveModel
from numba.core.errors import RequireLiteralValue
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, register_model

from filler_server import compiled

_LLVM = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.boolean: ir.IntType(1),
    **{getattr(types, f"{sign}int{bits}"): ir.IntType(bits) for bits in (8, 16, 32, 64) for sign in ("", "u")},
}

_LONGEST = 64
"""Bytes of a register of AVX-512, and of a line of the cache."""


class Vector(types.Type):
    """The Numba type of `lanes` numbers of the type `element`."""

    def __init__(self, element: types.Type, lanes: int) -> None:
        self.element = element
        self.lanes = lanes
        super().__init__(name=f"Vector({element}, {lanes})")

    @property
    def llvm(self) -> ir.VectorType:
        """The type in LLVM."""
        return ir.VectorType(_LLVM[self.element], self.lanes)

    @property
    def is_float(self) -> bool:
        """Whether the numbers are floats."""
        return isinstance(self.element, types.Float)

    @property
    def is_signed(self) -> bool:
        """Whether the numbers are signed integers."""
        return isinstance(self.element, types.Integer) and bool(self.element.signed)


@register_model(Vector)
class _VectorModel(PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, fe_type.llvm)


def _operator(
    function: Callable[..., Any], emit: Callable[[ir.IRBuilder, Vector, ir.Value, ir.Value], ir.Value]
) -> None:
    """Let `function` take two vectors of one type, or a vector and a number, which stands in every lane."""

    @infer_global(function)
    class _Typing(AbstractTemplate):
        def generic(self, args: Sequence[types.Type], kws: Any) -> Any:
            vectors = {arg for arg in args if isinstance(arg, Vector)}
            if len(args) == 2 and len(vectors) == 1:
                (vector,) = vectors
                return signature(vector, *(arg if arg is vector else vector.element for arg in args))
            return None

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        vector = sig.return_type
        pair = (_spread(builder, vector, kind, value) for kind, value in zip(sig.args, args, strict=True))
        return emit(builder, vector, *pair)

    for left, right in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(function, left, right)(lower)


def _spread(builder: ir.IRBuilder, vector: Vector, kind: types.Type, value: ir.Value) -> ir.Value:
    if isinstance(kind, Vector):
        return value
    single = builder.insert_element(ir.Constant(vector.llvm, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), None))


def _either(of_floats: str, of_integers: str) -> Callable[[ir.IRBuilder, Vector, ir.Value, ir.Value], ir.Value]:
    return lambda builder, vector, a, b: getattr(builder, of_floats if vector.is_float else of_integers)(a, b)


_operator(operator.add, _either("fadd", "add"))
_operator(operator.sub, _either("fsub", "sub"))
_operator(operator.mul, _either("fmul", "mul"))
_operator(operator.truediv, lambda builder, vector, a, b: builder.fdiv(a, b))
_operator(operator.and_, lambda builder, vector, a, b: builder.and_(a, b))
_operator(operator.or_, lambda builder, vector, a, b: builder.or_(a, b))
_operator(operator.xor, lambda builder, vector, a, b: builder.xor(a, b))
_operator(operator.lshift, lambda builder, vector, a, b: builder.shl(a, b))
_operator(
    operator.rshift,
    lambda builder, vector, a, b: (builder.ashr if vector.is_signed else builder.lshr)(a, b),
)


def _literal(number: types.Type) -> int:
    if not isinstance(number, types.IntegerLiteral):
        raise RequireLiteralValue(number)
    return int(number.literal_value)


@intrinsic(prefer_literal=True)
def spread(typingctx: Any, number: Any, lanes: Any) -> Any:
    """Return a vector with `number` in each of so many lanes, which are a literal."""
    vector = Vector(number, _literal(lanes))

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        return _spread(builder, vector, number, args[0])

    return vector(number, lanes), codegen


def constant(numbers: Sequence[int]) -> Any:
    """Return a kernel function without arguments that gives the vector of these numbers, as uint64."""
    vector = Vector(types.uint64, len(numbers))

    def typing(typingctx: Any) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
            return ir.Constant(vector.llvm, list(numbers))

        return vector(), codegen

    return intrinsic(typing)


@intrinsic
def bitcast(typingctx: Any, vector: Any, element: Any) -> Any:
    """Return the same bits as numbers of another type; their number changes with their size."""
    bits = vector.lanes * vector.element.bitwidth
    target = Vector(element.dtype, bits // element.dtype.bitwidth)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        return builder.bitcast(args[0], target.llvm)

    return target(vector, element), codegen


@intrinsic
def rounded(typingctx: Any, vector: Any, element: Any) -> Any:
    """Return integers as floats of a type, rounded to nearest even."""
    target = Vector(element.dtype, vector.lanes)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        return (builder.sitofp if vector.is_signed else builder.uitofp)(args[0], target.llvm)

    return target(vector, element), codegen


def _call(builder: ir.IRBuilder, name: str, vector: Vector, args: Sequence[ir.Value]) -> ir.Value:
    """Call the operation that LLVM has under this name for vectors of floats."""
    kind = ir.FunctionType(vector.llvm, [vector.llvm] * len(args))
    suffix = f"v{vector.lanes}f{vector.element.bitwidth}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.{suffix}"), args)


@intrinsic
def at_most(typingctx: Any, x: Any, y: Any) -> Any:
    """Return 1 where x <= y, else 0, as uint8; `y` may be a number."""
    target = Vector(types.uint8, x.lanes)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        compare = builder.icmp_signed if x.is_signed else builder.icmp_unsigned
        left, right = (_spread(builder, x, *pair) for pair in zip(sig.args, args, strict=True))
        return builder.zext(compare("<=", left, right), target.llvm)

    return target(x, y if isinstance(y, Vector) else x.element), codegen


@intrinsic
def below(typingctx: Any, x: Any, y: Any) -> Any:
    """Return where x < y, of floats, as a vector of truth values; one of the two may be a number."""
    vector = x if isinstance(x, Vector) else y

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        pair = (_spread(builder, vector, kind, value) for kind, value in zip(sig.args, args, strict=True))
        return builder.fcmp_ordered("<", *pair)

    kinds = (kind if isinstance(kind, Vector) else vector.element for kind in (x, y))
    return Vector(types.boolean, vector.lanes)(*kinds), codegen


@intrinsic
def select(typingctx: Any, condition: Any, then: Any, otherwise: Any) -> Any:
    """Return `then` in the lanes where a condition holds, else `otherwise`; each of the two may be a number."""
    element = then.element if isinstance(then, Vector) else then
    vector = Vector(element, condition.lanes)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        pairs = zip(sig.args[1:], args[1:], strict=True)
        return builder.select(args[0], *(_spread(builder, vector, kind, value) for kind, value in pairs))

    kinds = (kind if isinstance(kind, Vector) else element for kind in (then, otherwise))
    return vector(condition, *kinds), codegen


@intrinsic
def any_lane(typingctx: Any, condition: Any) -> Any:
    """Return whether a condition, a vector of truth values, holds in any lane."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        lanes = builder.bitcast(args[0], ir.IntType(condition.lanes))
        return builder.icmp_unsigned("!=", lanes, lanes.type(0))

    return types.boolean(condition), codegen


@intrinsic
def fused(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z, rounded once (IEEE 754 fusedMultiplyAdd); `y` and `z` may be numbers."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        return _call(builder, "fma", x, [_spread(builder, x, *pair) for pair in zip(sig.args, args, strict=True)])

    return x(x, *(kind if isinstance(kind, Vector) else x.element for kind in (y, z))), codegen


@intrinsic
def root(typingctx: Any, x: Any) -> Any:
    """Return the square root, correctly rounded."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        return _call(builder, "sqrt", x, args)

    return x(x), codegen


@intrinsic
def held(typingctx: Any, x: Any) -> Any:
    """Return the same vector; where registers are long, its place is kept among all that are held in one function.

    LLVM moves operations to where few registers are needed, which may be far from those that could run beside them.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        if not compiled.has_long_vectors():
            return args[0]
        parts = []
        for lanes in _registers(x):
            part = _lanes(builder, args[0], args[0], lanes)
            kind = ir.FunctionType(part.type, [part.type])
            # An empty instruction: it takes a register and returns it.
            parts.append(builder.asm(kind, "", "=v,0", [part], side_effect=True))
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [_lanes(builder, left, right, range(2 * left.type.count)) for left, right in pairs]
        return parts[0]

    return x(x), codegen


@intrinsic
def align_stack(typingctx: Any) -> Any:
    """Let the registers that a function has no room for be kept where none of them lies in two lines of the cache."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        if compiled.has_long_vectors():
            # LLVM keeps the stack aligned for a variable whose address somebody might have.
            line = cgutils.alloca_once(builder, ir.VectorType(_LLVM[types.uint8], _LONGEST))
            line.align = _LONGEST
            builder.asm(ir.FunctionType(ir.VoidType(), [line.type]), "", "r", [line], side_effect=True)
        return context.get_dummy_value()

    return types.void(), codegen


def _registers(vector: Vector) -> list[range]:
    """Return the lanes of each register of a vector where registers are long; elsewhere of all as if they were one."""
    lanes = vector.lanes
    if compiled.has_long_vectors():
        lanes = min(lanes, _LONGEST // (vector.element.bitwidth // 8))
    return [range(first, first + lanes) for first in range(0, vector.lanes, lanes)]


def _lanes(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, lanes: Sequence[int]) -> ir.Value:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
    return builder.shuffle_vector(x, y, mask)


def shuffle(lanes: Sequence[int]) -> Any:
    """Return a kernel function of two vectors that gives these lanes of the two, one after the other."""

    def typing(typingctx: Any, x: Any, y: Any) -> Any:
        target = Vector(x.element, len(lanes))

        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
            return _lanes(builder, args[0], args[1], lanes)

        return target(x, y), codegen

    return intrinsic(typing)


@intrinsic
def store(typingctx: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write a vector to a contiguous array, or behind a pointer, from `index` on; no bounds are checked."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        pointer = _element(context, builder, array, args[0], args[1])
        registers = _registers(vector)
        for lanes in registers:
            part = args[2] if len(registers) == 1 else _lanes(builder, args[2], args[2], lanes)
            place = builder.bitcast(cgutils.gep(builder, pointer, lanes.start), part.type.as_pointer())
            builder.store(part, place, align=vector.element.bitwidth // 8)
            if len(registers) > 1:
                # Memory takes twice as long where LLVM has the last one written first.
                builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], side_effect=True)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


@intrinsic(prefer_literal=True)
def load(typingctx: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Read so many elements, a literal number, of a contiguous array or behind a pointer; no bounds are checked."""
    vector = Vector(array.dtype, _literal(lanes))

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        pointer = builder.bitcast(_element(context, builder, array, args[0], args[1]), vector.llvm.as_pointer())
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp, lanes), codegen


def _element(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value, index: ir.Value) -> ir.Value:
    data = array if isinstance(kind, types.CPointer) else context.make_array(kind)(context, builder, array).data
    return cgutils.gep(builder, data, index)

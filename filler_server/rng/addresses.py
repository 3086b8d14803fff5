"""Memory and functions by their addresses, for kernels that are compiled once for all types. Imports Numba.

Numba's cache does not see a change of this file: remove `__pycache__` of the kernels that use it after one.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import RequireLiteralValue
from numba.extending import intrinsic


@intrinsic
def address(typingctx: Any, array: Any) -> Any:
    """Return the address of the first element of an array."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        data = context.make_array(array)(context, builder, args[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), codegen


@intrinsic(prefer_literal=True)
def move(typingctx: Any, target: Any, source: Any, nbytes: Any) -> Any:
    """Copy so many bytes, a literal number, from one address to another, whatever their alignment."""
    if not isinstance(nbytes, types.IntegerLiteral):
        raise RequireLiteralValue(nbytes)
    number = int(nbytes.literal_value)

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        pointer = ir.IntType(8 * number).as_pointer()
        value = builder.load(builder.inttoptr(args[1], pointer), align=1)
        builder.store(value, builder.inttoptr(args[0], pointer), align=1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, nbytes), codegen


@intrinsic
def call(typingctx: Any, function: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """Call the function at an address, which takes six integers or pointers and gives nothing back."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        kind = ir.FunctionType(ir.VoidType(), [context.get_value_type(types.intp)] * 6)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7), codegen

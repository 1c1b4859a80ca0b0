"""Moving memory past the processor's caches while it computes.

numba looks at a kernel's own file to tell whether what it has cached is still right: after a change
here, clear `__pycache__` or touch the file of the kernels.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

PIECE = 32
"""Float32 values that are put at once: two lines of the cache, 128 bytes."""


def _place(context: Any, builder: Any, kind: types.Array, array: Any, indices: list[Any]) -> Any:
    array = context.make_array(kind)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, kind, array, indices)


@intrinsic
def fetch(_: Any, values: types.Array, _i: types.Integer) -> Any:
    """Begin to bring in the line of values[i], to be read; past the end nothing happens."""

    def generate(context: Any, builder: Any, _: Any, args: Any) -> Any:
        number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        to_read, to_second_cache, data = number(0), number(2), number(1)
        where = builder.bitcast(_place(context, builder, values, args[0], [args[1]]), pointer)
        builder.call(function, [where, to_read, to_second_cache, data])
        return context.get_dummy_value()

    return types.void(values, types.intp), generate


@intrinsic
def put(
    _: Any,
    source: types.Array,
    _i: types.Integer,
    target: types.Array,
    _row: types.Integer,
    _j: types.Integer,
) -> Any:
    """target[row, j : j + PIECE] = source[i : i + PIECE], float32.

    A cache would bring the lines in before they are written to, for nothing. target[row, j] must
    lie at a multiple of a piece's bytes; what is put may be read after `finish`.
    """

    def generate(context: Any, builder: Any, _: Any, args: Any) -> Any:
        piece = ir.VectorType(ir.FloatType(), PIECE).as_pointer()
        here = _place(context, builder, source, args[0], [args[1]])
        there = _place(context, builder, target, args[2], [args[3], args[4]])
        values = builder.load(builder.bitcast(here, piece), align=4)
        stored = builder.store(values, builder.bitcast(there, piece), align=4 * PIECE)
        once = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        stored.set_metadata("nontemporal", once)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp, types.intp), generate


@intrinsic
def finish(_: Any) -> Any:
    """Let everything put be there for other threads to read."""

    def generate(context: Any, builder: Any, _: Any, _values: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate

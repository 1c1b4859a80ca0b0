"""Telling the processor which memory is about to be written, while it computes."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def prefetch(_: Any, _address: types.Integer) -> Any:
    """Fetch the cache line at an address, int64, for writing; one without memory is ignored."""

    def generate(context: Any, builder: ir.IRBuilder, _: Any, values: Any) -> Any:
        number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        to_write, to_second_cache, data = number(1), number(2), number(1)
        where = builder.inttoptr(values[0], pointer)
        builder.call(function, [where, to_write, to_second_cache, data])
        return context.get_dummy_value()

    return types.void(types.int64), generate

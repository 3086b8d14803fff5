"""Compiled kernels do what is written: no operation is contracted."""

from typing import Any

import llvmlite.binding
import numba
import numpy as np
import pytest

from filler_server.rng.caffe import boost, kernels

F32 = np.dtype(np.float32)


def assembly(distribution: kernels.Distribution, **options: Any) -> str:
    """Return the compiled code of the kernel for a distribution."""
    compiled: Any = kernels._fill
    fill = numba.njit(nogil=True, error_model="numpy", **options)(compiled.py_func)
    arguments = (
        np.empty(1, kernels._ENGINE),
        np.empty(1, np.uint32),
        np.empty(1, F32),
        np.empty(1, F32),
        np.empty(1, np.int64),
        np.empty(2, np.int64),
        1,
        distribution,
    )
    fill.compile(tuple(map(numba.typeof, arguments)))
    code: str = fill.inspect_asm(fill.signatures[0])
    return code


@pytest.fixture(scope="module", autouse=True)
def fused_instructions() -> None:
    if not llvmlite.binding.get_host_cpu_features().get("fma"):
        pytest.skip("this CPU has no fused instructions")


def test_no_multiplication_is_fused_with_an_addition() -> None:
    """Of uniform values; normal ones hold the fused operations of `libm`, and are the same on a CPU without any."""
    code = assembly(boost.uniform(-1, 1, F32))
    assert "vmul" in code
    assert "vadd" in code
    for fused in ("fmadd", "fmsub"):
        assert fused not in code


def test_a_compiler_that_may_contract_would_do_so() -> None:
    assert "fmadd" in assembly(boost.uniform(-1, 1, F32), fastmath={"contract"})

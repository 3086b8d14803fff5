"""Compiled kernels do what is written: no operation is contracted."""

from typing import Any

import llvmlite.binding
import numba
import numpy as np
import pytest

from filler_server.rng.caffe import kernels
from filler_server.rng.caffe.boost import Profile, gaussian_law, uniform_law

F32 = np.dtype(np.float32)


def assembly(law: kernels.Law, **options: Any) -> str:
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
        law,
    )
    fill.compile(tuple(map(numba.typeof, arguments)))
    code: str = fill.inspect_asm(fill.signatures[0])
    return code


@pytest.fixture(scope="module", autouse=True)
def fused_instructions() -> None:
    if not llvmlite.binding.get_host_cpu_features().get("fma"):
        pytest.skip("this CPU has no fused instructions")


@pytest.mark.parametrize(
    "law",
    [uniform_law(-1, 1, F32), gaussian_law(0, 1, F32), gaussian_law(0, 1, F32, Profile.CAFFE_1_55)],
    ids=lambda law: type(law).__name__,
)
def test_no_multiplication_is_fused_with_an_addition(law: kernels.Law) -> None:
    code = assembly(law)
    assert "vmul" in code
    assert "vadd" in code
    for fused in ("fmadd", "fmsub"):
        assert fused not in code


def test_a_compiler_that_may_contract_would_do_so() -> None:
    assert "fmadd" in assembly(uniform_law(-1, 1, F32), fastmath={"contract"})

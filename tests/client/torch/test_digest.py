"""Digests of tensors; those of DTensors are in `sharded`."""

import numpy as np
import pytest

import filler_client
from caffe_filler.errors import InvalidArgument
from filler_client import FillerClient

pytestmark = pytest.mark.frameworks
torch = pytest.importorskip("torch")

from torch.testing._internal.two_tensor import TwoTensor  # noqa: E402

from filler_client.torch import digest, fill_  # noqa: E402


def two(tensor: object) -> object:
    return TwoTensor(tensor, tensor)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_tensor_has_the_digest_of_the_blob(dtype: str) -> None:
    tensor = fill_(torch.empty(20, 30, dtype=getattr(torch, dtype)), "xavier", name="w", seed=5)
    client = FillerClient.embedded()
    assert (
        digest(tensor) == digest(tensor, local=True) == client.digest("xavier", (20, 30), name="w", seed=5, dtype=dtype)
    )
    assert digest(tensor.t()) == filler_client.digest(client.fill("xavier", (20, 30), name="w", seed=5, dtype=dtype).T)


def test_a_large_tensor_is_summed_in_blocks() -> None:
    tensor = torch.arange(5 << 20, dtype=torch.int16)
    assert digest(tensor) == filler_client.digest(tensor.numpy())
    columns = tensor.view(-1, 1024)[:, 3:700]
    assert digest(columns) == filler_client.digest(np.ascontiguousarray(columns.numpy()))


def test_other_elements() -> None:
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.float8_e4m3fn, torch.complex64):
        ones = torch.ones(6, dtype=torch.float32).to(dtype)
        assert digest(ones) != digest(torch.zeros(6, dtype=torch.float32).to(dtype))
    assert digest(torch.tensor(3.0)) == filler_client.digest(np.float32([3.0]))
    assert str(digest(torch.empty(0, 4))) == "0" * 32
    conjugated = torch.tensor([1 + 2j], dtype=torch.complex64).conj()
    assert digest(conjugated) == digest(torch.tensor([1 - 2j], dtype=torch.complex64))


@pytest.mark.filterwarnings("ignore:.*(nested|quantized) tensor:UserWarning")
@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (lambda: torch.empty(3, device="meta"), "has no values"),
        (lambda: torch.zeros(3, dtype=torch.complex128), "1, 2, 4 or 8 bytes"),
        (lambda: torch.eye(3).to_sparse(), "lie in memory"),
        (lambda: torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8), "lie in memory"),
        (lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), "lie in memory"),
        (lambda: two(torch.zeros(3)), "has no memory of its own"),
    ],
)
def test_what_has_no_digest_is_refused(tensor: object, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        digest(tensor())  # type: ignore[operator]

"""The checksum, and when its library is imported."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.checksum import crc32c


def test_it_is_the_one_of_rfc_3720() -> None:
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"123456789") == 0xE3069283


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_it_goes_on_where_another_ends(first: bytes, second: bytes) -> None:
    assert crc32c(memoryview(second), crc32c(first)) == crc32c(bytearray(first + second))


def test_a_client_is_imported_without_it() -> None:
    program = "import sys, filler_client; print('crc32c' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"

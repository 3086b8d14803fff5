"""The ground: a named array whose values come later, and functions from such arrays to such arrays.

`Tensor` is one small interface: name, shape, dtype, and any range of the values into a buffer. It has three kinds, each
at home where its values come from: computed (`engine`), stored (`weights`) and received (`filler_client`). A view, a
cast, a transposed matrix or a combination of tensors is a tensor again, and reads in blocks, so that memory does not
grow with it.
"""

from filler_server.tensors.combinations import combined, constant, spliced
from filler_server.tensors.sequential import SequentialTensor
from filler_server.tensors.tensor import BLOCK, Advance, ArrayTensor, Place, Tensor
from filler_server.tensors.transposition import transposed
from filler_server.tensors.views import Cast, View, cast, renamed, reshaped

__all__ = [
    "BLOCK",
    "Advance",
    "ArrayTensor",
    "Cast",
    "Place",
    "SequentialTensor",
    "Tensor",
    "View",
    "cast",
    "combined",
    "constant",
    "renamed",
    "reshaped",
    "spliced",
    "transposed",
]

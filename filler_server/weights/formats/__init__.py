"""The formats of files of weights, one module for each.

A further format is a module with a `FORMAT`, and a line here.
"""

from filler_server.weights.formats import (
    binaryproto,
    caffemodel,
    hdf5,
    npy,
    npz,
    prototxt,
    safetensors,
    shards,
    torch,
)

FORMATS = (
    caffemodel.FORMAT,
    hdf5.FORMAT,
    npz.FORMAT,
    npy.FORMAT,
    safetensors.FORMAT,
    shards.FORMAT,
    torch.FORMAT,
    binaryproto.FORMAT,
    prototxt.FORMAT,
)

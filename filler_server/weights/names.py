"""What the blobs of a layer are called in files: by Caffe's numbers, or as PyTorch calls such blobs."""

from caffe_filler.errors import InvalidArgument

NAMINGS = ("caffe", "torch")

_LONGEST_INDEX = 9

_WEIGHT_AND_BIAS = ("weight", "bias")
_TORCH = {
    "Convolution": _WEIGHT_AND_BIAS,
    "Deconvolution": _WEIGHT_AND_BIAS,
    "InnerProduct": _WEIGHT_AND_BIAS,
    "Embed": _WEIGHT_AND_BIAS,
    "Scale": _WEIGHT_AND_BIAS,
    "PReLU": ("weight",),
    "Bias": ("bias",),
    "Parameter": ("weight",),
    "BatchNorm": ("running_mean", "running_var", "scale_factor"),
}
# The gates of PyTorch's recurrent layers have another order, so that its names would promise what does not hold:
# these are Caffe's own, of the unrolled net.
_RECURRENT = {
    ("LSTM", 3): ("W_xc", "b_c", "W_hc"),
    ("LSTM", 4): ("W_xc", "b_c", "W_xc_static", "W_hc"),
    ("RNN", 5): ("W_xh", "b_h", "W_hh", "W_ho", "b_o"),
    ("RNN", 6): ("W_xh", "b_h", "W_xh_static", "W_hh", "W_ho", "b_o"),
}


def split_name(name: str) -> tuple[str, int] | None:
    """Return layer and index of a blob's name `<layer>/<index>`, or None of any other name.

    >>> split_name("inception_3a/1x1/0")
    ('inception_3a/1x1', 0)
    """
    layer, separator, index = name.rpartition("/")
    plain = index.isascii() and index.isdecimal() and len(index) <= _LONGEST_INDEX and str(int(index)) == index
    return (layer, int(index)) if separator and plain else None


def tensor_name(naming: str, *, blob: str, layer_type: str, blobs: int) -> str:
    """Return the name of a blob's tensor.

    Args:
        naming: "caffe": `<layer>/<index>`; "torch": `<layer>.weight`, `<layer>.bias`, `<layer>.running_mean` ...
        blob: the blob's own name, `<layer>/<index>`.
        layer_type: Caffe's type of the layer.
        blobs: how many blobs the layer has.

    Raises:
        InvalidArgument: there is no such naming.
    """
    if naming not in NAMINGS:
        raise InvalidArgument(f"tensors are named as in {' or '.join(NAMINGS)}. Received: names={naming}")
    if naming == "caffe":
        return blob
    layer, _, index = blob.rpartition("/")
    names = _RECURRENT.get((layer_type, blobs)) or _TORCH.get(layer_type, ())
    return f"{layer}.{names[int(index)] if int(index) < len(names) else f'blob{index}'}"

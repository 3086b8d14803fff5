"""Shapes of blobs from before Caffe's BlobShape: always four axes."""

from collections.abc import Sequence

LEGACY_AXES = 4
_WEIGHT_AND_BIAS = ("Convolution", "Deconvolution", "InnerProduct")


def equals_legacy(shape: Sequence[int | None], legacy: Sequence[int]) -> bool:
    """Whether a blob of a shape takes the values of one with a legacy shape (`Blob::ShapeEquals`).

    Its axes are counted from the last one, and the axes that it lacks are 1; an unknown one (None) takes any length.

    >>> equals_legacy((500, 800), (1, 1, 500, 800)), equals_legacy((20,), (20, 1, 1, 1))
    (True, False)
    """
    if len(shape) > LEGACY_AXES:
        return False
    padded = [1] * (LEGACY_AXES - len(shape)) + list(shape)
    return all(dim is None or dim == old for dim, old in zip(padded, legacy, strict=True))


def modern_shape(layer_type: str, index: int, legacy: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a blob with a legacy shape has today, as far as the type of its layer tells.

    >>> modern_shape("InnerProduct", 0, (1, 1, 500, 800)), modern_shape("Convolution", 1, (1, 1, 1, 20))
    ((500, 800), (20,))
    """
    if layer_type not in _WEIGHT_AND_BIAS:
        return legacy
    if index == 1 and legacy[:3] == (1, 1, 1):
        return legacy[3:]
    if layer_type == "InnerProduct" and index == 0 and legacy[:2] == (1, 1):
        return legacy[2:]
    return legacy

"""Operations that change height and width."""

from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.literals import Source, call
from filler_server.models.torch.registry import emits
from filler_server.net.operations import resizing as of


@emits(of.Interp)
def interp(layer: Layer, operation: of.Interp) -> str:
    """Write Interp as a bilinear interpolation with aligned corners, after a crop."""
    layer.needs_size()
    x = layer.bottoms[0]
    if operation.pad_beg or operation.pad_end:
        inside = f"{-operation.pad_beg or ''}:{operation.pad_end or ''}"
        x = f"{x}[..., {inside}, {inside}]"
    named: dict[str, object] = {"size": _known(operation.size), "mode": "bilinear", "align_corners": True}
    return call("F.interpolate", [Source(x)], named)


@emits(of.Upsample)
def upsample(layer: Layer, operation: of.Upsample) -> str:
    """Write Upsample: by the mask of a pooling, or with each value repeated."""
    x = layer.bottoms[0]
    if operation.mask:
        layer.needs_size()
        return call("unpooled", [Source(x), Source(layer.bottoms[1]), _known(operation.size)])
    if layer.axes() == 4:
        return layer.apply("nn.Upsample", scale_factor=operation.scale)
    return f"{x}.repeat_interleave({operation.scale}, -2).repeat_interleave({operation.scale}, -1)"


def _known(size: tuple[int | None, ...]) -> tuple[int, ...]:
    known = tuple(extent for extent in size if extent is not None)
    if len(known) != len(size):
        raise NoCounterpart("its size is not known")
    return known

"""Blobs that share their values by the names in `param` (Caffe's `Net::AppendParam`)."""

from dataclasses import dataclass

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dims, count, differ, refine, shapes_differ, text
from filler_server.net.layer import LayerContext

_NO_SPEC = caffe_pb2.ParamSpec()


@dataclass(slots=True)
class _Owner:
    name: str
    layer: str
    shape: Dims
    multipliers: dict[str, float]


class SharedBlobs:
    """Owners of shared names: the first layer that has each."""

    def __init__(self) -> None:
        self._owners: dict[str, _Owner] = {}

    def share(self, layer: LayerContext, index: int, name: str, shape: Dims) -> tuple[str | None, Dims]:
        """Return the owner of the values of a layer's blob, or None if they are its own, and the blob's shape.

        Raises:
            NetError: the shapes or counts differ from the owner's, or so do explicit multipliers.
        """
        specs = layer.parameter.param
        spec = specs[index] if index < len(specs) else _NO_SPEC
        if not spec.name:
            return None, shape
        own = {field: getattr(spec, field) for field in ("lr_mult", "decay_mult") if spec.HasField(field)}
        owner = self._owners.get(spec.name)
        if owner is None:
            self._owners[spec.name] = _Owner(name, layer.parameter.name, shape, own)
            return None, shape
        strict = spec.share_mode == caffe_pb2.ParamSpec.STRICT
        if shapes_differ(shape, owner.shape) if strict else differ(count(shape), count(owner.shape)):
            layer.refuse(
                f"Cannot share param '{spec.name}' owned by layer '{owner.layer}' with layer '{layer.parameter.name}'; "
                f"{'shape' if strict else 'count'} mismatch. Owner layer param shape is {text(owner.shape)}; "
                f"sharing layer {'expects shape' if strict else 'shape is'} {text(shape)}",
                shape=shape,
            )
        for field, value in own.items():
            if owner.multipliers.setdefault(field, value) != value:
                layer.refuse(
                    f"Shared param '{spec.name}' has mismatched {field}",
                    **{field: value, "owner": owner.multipliers[field]},
                )
        return owner.name, refine(shape, owner.shape) if strict else shape

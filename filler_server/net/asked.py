"""Fields of a layer that ask for learnable blobs, whatever its type."""

from collections.abc import Iterator, Mapping
from typing import Any

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.unknown import PassedOver, Value

_FILLER = caffe_pb2.FillerParameter.DESCRIPTOR
_COUNT = "num_output"
_MOST = 100


def fillers(parameter: caffe_pb2.LayerParameter, unknown: Mapping[str, PassedOver]) -> list[str]:
    """Return the paths of the fillers of a layer, also of those that its reader passed over; of very many the first."""
    return [path for path in _asked(parameter, unknown) if path.rpartition(".")[2] != _COUNT]


def asks_for_blobs(parameter: caffe_pb2.LayerParameter, unknown: Mapping[str, PassedOver]) -> list[str]:
    """Return the paths of fields that only a layer with learnable blobs has: fillers, `num_output` and `param`."""
    return [*_asked(parameter, unknown), *(["param"] if parameter.param else [])]


def _asked(parameter: caffe_pb2.LayerParameter, unknown: Mapping[str, PassedOver]) -> list[str]:
    found: dict[str, None] = {}
    for path in (*_known(parameter), *(path for name, kept in unknown.items() for path in _foreign(name, kept.values))):
        found[path] = None
        if len(found) == _MOST:
            break
    return list(found)


def _known(parameter: caffe_pb2.LayerParameter) -> Iterator[str]:
    for block, message in parameter.ListFields():
        if block.message_type is None or block.is_repeated:
            continue
        for field, _ in message.ListFields():
            if field.message_type == _FILLER or field.name == _COUNT:
                yield f"{block.name}.{field.name}"


def _foreign(path: str, values: list[Value]) -> Iterator[str]:
    name = path.rpartition(".")[2]
    if name == _COUNT or name == "filler" or name.endswith("_filler"):
        yield path
    for value in values[:_MOST]:
        inside: Any = value if isinstance(value, dict) else {}
        for inner, inner_values in inside.items():
            yield from _foreign(f"{path}.{inner}", inner_values)

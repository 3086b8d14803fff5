"""Formats of models that a net can be exported to, one record for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caffe_filler.errors import InvalidArgument

if TYPE_CHECKING:
    from filler_server.models.graph import Graph
    from filler_server.tensors import Advance


@dataclass(frozen=True, slots=True)
class Job:
    """A net that is to be written.

    Attributes:
        graph: what it computes.
        other: the same with another batch, where the model is for any batch.
        training: whether it was planned in the phase TRAIN.
        provenance: returns where it comes from; it may wait for files to be read, so that it is asked last.
        external_data: whether tensors stand in a file of their own; None: if they must.
        advance: is told the bytes of each step.
    """

    graph: "Graph"
    other: "Graph | None"
    training: bool
    provenance: Callable[[], Mapping[str, str]]
    external_data: bool | None
    advance: "Advance | None"


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """A format of models.

    Attributes:
        name: what it is called.
        ending: what the names of its files end in.
        write: writes a net to a file of this name, and returns all files, that one first.
        options: names of the options that it has and others may not: dynamic_batch, external_data.
    """

    name: str
    ending: str
    write: Callable[[Job, Path], tuple[Path, ...]]
    options: frozenset[str] = frozenset()


def _write_onnx(job: Job, path: Path) -> tuple[Path, ...]:
    from filler_server.weights.extras import needs_extra

    with needs_extra("onnx", "a model of ONNX", "onnx"):
        from filler_server.models.onnx.file import save
        from filler_server.models.onnx.model import onnx_model
    model = onnx_model(job.graph, other=job.other)
    return save(model, path, external=job.external_data, metadata=job.provenance, advance=job.advance)


ONNX = ModelFormat("ONNX", ".onnx", _write_onnx, frozenset({"dynamic_batch", "external_data"}))

MODEL_FORMATS = (ONNX,)
"""All formats, in the order in which they are listed."""


def model_format(path: Path) -> ModelFormat:
    """Return the format that the name of a file asks for.

    Raises:
        InvalidArgument: none has this ending.
    """
    for known in MODEL_FORMATS:
        if path.suffix.lower() == known.ending:
            return known
    endings = ", ".join(f"{known.ending} ({known.name})" for known in MODEL_FORMATS)
    raise InvalidArgument(f"a model ends in {endings}. Received: {path}", field="path")

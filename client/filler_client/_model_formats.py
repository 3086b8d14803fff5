"""Formats of models that a net can be exported to, one record for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from caffe_filler.errors import InvalidArgument

if TYPE_CHECKING:
    from filler_server.models.graph import Graph
    from filler_server.models.verification import Runtime
    from filler_server.tensors import Advance, Tensor


@dataclass(frozen=True, slots=True)
class Job:
    """A net that is to be written.

    Attributes:
        graph: what it computes.
        other: the same with another batch, where the model is for any batch.
        sources: the files of weights that it has its values from.
        training: whether it was planned in the phase TRAIN.
        provenance: returns where it comes from; it may wait for files to be read, so that it is asked last.
        external_data: whether tensors stand in a file of their own; None: if they must.
        advance: is told the bytes of each step.
    """

    graph: "Graph"
    other: "Graph | None"
    sources: tuple[Path, ...]
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
        runtime: opens a net that was written to a file with the library that computes it; None: it is not verified.
        extra: the extra of this package that has what it needs.
        library: the library that computes it; models are verified where it is installed.
        options: names of the options that it has and others may not: dynamic_batch, external_data.
    """

    name: str
    ending: str
    write: Callable[[Job, Path], tuple[Path, ...]]
    runtime: "Callable[[Job, Path], Runtime] | None" = None
    extra: str = ""
    library: str = ""
    options: frozenset[str] = frozenset()


def _write_onnx(job: Job, path: Path) -> tuple[Path, ...]:
    from filler_server.weights.extras import needs_extra

    with needs_extra("onnx", "a model of ONNX", "onnx"):
        from filler_server.models.onnx.file import save
        from filler_server.models.onnx.model import onnx_model
    model = onnx_model(job.graph, other=job.other)
    return save(model, path, external=job.external_data, metadata=job.provenance, advance=job.advance)


def _single(tensor: "Tensor") -> "Tensor":
    """Return a tensor of no more than 32 bits."""
    from filler_server.tensors import cast

    return cast(tensor, np.dtype(np.float32)) if tensor.dtype == np.float64 else tensor


def _write_torch(job: Job, path: Path) -> tuple[Path, ...]:
    """Write a source, and the weights beside it, where the net has some.

    Raises:
        InvalidArgument: the weights that are read lie where these would be.
    """
    from filler_server.models.torch import torch_module
    from filler_server.output import AtomicFile
    from filler_server.weights.saving import save

    module = torch_module(job.graph, training=job.training)
    beside = path.with_suffix(".safetensors")
    if module.tensors and any(beside.resolve() == source.resolve() for source in job.sources):
        raise InvalidArgument(
            f"'{beside}' would take the place of the weights that it is made from. Received: {path}", field="path"
        )
    tensors = [_single(tensor) for tensor in module.tensors]
    source = AtomicFile(path)
    try:
        weights: tuple[Path, ...] = ()
        if tensors:
            weights = save(tensors, beside, metadata={"format": "pt"}, advance=job.advance).files
        origin = [f"{key}: {value}" for key, value in job.provenance().items()]
        source.file.write(module.source(origin).encode())
        source.commit()
    except BaseException:
        source.discard()
        raise
    return (path, *weights)


def _onnx_runtime(job: Job, path: Path) -> "Runtime":
    from filler_server.models.onnx.runtime import OnnxRuntime

    return OnnxRuntime(path)


ONNX = ModelFormat(
    "ONNX",
    ".onnx",
    _write_onnx,
    _onnx_runtime,
    extra="onnx",
    library="onnxruntime",
    options=frozenset({"dynamic_batch", "external_data"}),
)


def _torch_runtime(job: Job, path: Path) -> "Runtime":
    from filler_server.weights.extras import needs_extra

    with needs_extra("torch", "the verification of a model of PyTorch", "torch", "safetensors"):
        from filler_server.models.torch.runtime import TorchRuntime

        return TorchRuntime(path, job.graph, training=job.training)


TORCH = ModelFormat("PyTorch", ".py", _write_torch, _torch_runtime, extra="torch", library="torch")

MODEL_FORMATS = (ONNX, TORCH)
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

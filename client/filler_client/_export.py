"""Nets as models of other frameworks."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caffe_filler import dtypes
from caffe_filler.dtypes import DTypeLike
from caffe_filler.errors import InvalidArgument, NetError
from caffe_filler.interface import option
from filler_client._export_graph import Changes, ImageOptions, MeanLike, with_twice_the_batch
from filler_client._model_formats import Job, ModelFormat, model_format
from filler_client._models import Model, ModelOptions, ModelWeights, open_model
from filler_client._provenance import provenance
from filler_client._requests import NetLike, PartialShape, Phase
from filler_client._verification import certificate as certified
from filler_client._verification import check, is_verifiable, opencv, verified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filler_server.models.graph import Graph
    from filler_server.models.verification import Verification
    from filler_server.net.plan import Shape
    from filler_server.prototxt.report import Problem
    from filler_server.tensors import Advance

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Exported:
    """A model that has been written.

    Attributes:
        path: its file.
        files: all files, that one first.
        format: name of the format.
        inputs: shapes of its inputs, by their names.
        outputs: shapes of its outputs; None for a dimension that data decide.
        nbytes: length of all files.
        seconds: time that it took to write them.
        verifications: comparisons with the reference, in each runtime; none where the model was not verified.
        notes: what a user of the model should know.
        warnings: what is to be told of the net.
    """

    path: Path
    files: tuple[Path, ...]
    format: str
    inputs: "Mapping[str, Shape]"
    outputs: "Mapping[str, Shape]"
    nbytes: int
    seconds: float
    verifications: "tuple[Verification, ...]"
    notes: tuple[str, ...]
    warnings: "tuple[Problem, ...]"


def export(
    net: NetLike,
    path: str | os.PathLike[str],
    weights: ModelWeights = None,
    *,
    inputs: Mapping[str, PartialShape] | None = None,
    tops: Sequence[str] | None = None,
    deploy: bool = False,
    fully_convolutional: bool = False,
    fold_batch_norm: bool = False,
    preprocess: bool = False,
    mean: MeanLike | None = None,
    scale: float | None = None,
    bgr: bool | None = None,
    dtype: DTypeLike | None = None,
    dynamic_batch: bool = False,
    external_data: bool | None = None,
    verify: bool | None = None,
    certificate: str | os.PathLike[str] | None = None,
    reshape: bool = False,
    phase: Phase = "TEST",
    level: int = 0,
    stages: Sequence[str] = (),
    strict: bool = False,
    lenient: bool = False,
    advance: "Advance | None" = None,
) -> Exported:
    """Write a net with its weights as a model of another framework, in the format of the ending of the name.

    Inputs, outputs and, as far as the format names them, the values between are called as the blobs are, and nodes as
    the layers. Weights are streamed: memory does not grow with them. Files appear when they are complete.

    Args:
        net: prototxt text, the bytes or path of a file, or a NetParameter; of a .caffemodel also its weights are taken
            where no others are given.
        path: where to: .onnx, or .py for a module of PyTorch, which has its weights in a .safetensors beside it.
        weights: files of any format that is read, of which later ones count before earlier ones; or arrays by the names
            of blobs. None for a net without learnable blobs, or one that has them itself.
        inputs: shapes of inputs, in place of those of the net; None for a dimension that the net knows.
        tops: names of the tops to compute, also in the middle of the net; by default those that no layer reads. The
            last value of a blob that layers change in place has its name, an earlier one is `<blob>@<layer>`.
        deploy: whether losses give way to predictions, and labels and accuracies go, before tops are chosen.
        fully_convolutional: whether inner products over maps become convolutions with the same weights, so that
            `inputs` can be larger images: the predictions are maps then.
        fold_batch_norm: whether BatchNorm, Scale and Bias become part of the convolution or inner product before them,
            where nothing else reads the value between.
        preprocess: whether the model takes images of red, green and blue, 0 to 255, and does itself what `mean`,
            `scale` and `bgr` say, or else the net's own transform_param. Any of these three implies it.
        mean: what is subtracted, in the net's order of channels: one number, one for each channel, an image, or the
            path of a file with one (.binaryproto, .npy).
        scale: what the difference is multiplied by.
        bgr: whether the net wants blue first.
        dtype: of the weights in the file: float32, float16 or bfloat16; None keeps 16-bit ones and makes all others
            float32. The model computes in float32.
        dynamic_batch: whether the model is for any batch: the first axis of all inputs that have that of the first one.
        external_data: whether weights stand in a file of their own; None: if they are too long for one.
        verify: whether the model is run on random inputs and compared with the reference evaluator, value by value; and
            the net in OpenCV 4, where that is installed and reads it. None: where the library is that runs the model.
        certificate: path of a file for the result, as JSON with the digests of all files; it implies `verify`.
        reshape: whether weights whose axes are joined or split otherwise are taken.
        phase: TEST or TRAIN.
        level: level of the net's state.
        stages: stages of the net's state, besides its own.
        strict: what would be a warning is an error.
        lenient: pass over fields and enum values that are plainly misspelled; else they are errors.
        advance: is told the bytes of each step and the tensor that they belong to.

    Raises:
        InvalidArgument: no format has this ending, the weights do not fit the net, or an option does not fit.
        NetError: the net cannot be set up, or the format has no counterpart of some layers, all of which are named.
        VerificationError: the model does not compute what the net does; its files stay for a look at them.
        Unavailable: a library is missing that the format or its verification needs.
        FillerError: a file cannot be read.
        OSError: a file cannot be read or written.

    Example:
        export(Path("deploy.prototxt"), "net.onnx", "net.caffemodel", dynamic_batch=True)
    """
    from filler_server.models.open_shapes import open_shapes
    from filler_server.output import write_atomically

    begun = time.perf_counter()
    target = Path(path)
    form = model_format(target)
    if verify is False and certificate is not None:
        raise InvalidArgument(
            f"a certificate tells of a verification. Received: {option('verify', False)}, certificate={certificate}",
            field="certificate",
        )
    verifies = is_verifiable(form, True if certificate is not None else verify)
    _check_options(form, dynamic_batch=dynamic_batch, external_data=external_data)
    changes = Changes(fold_batch_norm, ImageOptions(preprocess, mean, scale, bgr), _weights_dtype(dtype))
    options: ModelOptions = {
        "inputs": inputs,
        "tops": tops,
        "deploy": deploy,
        "fully_convolutional": fully_convolutional,
        "reshape": reshape,
        "phase": phase,
        "level": level,
        "stages": stages,
        "strict": strict,
        "lenient": lenient,
    }
    with ExitStack() as opened:
        model = opened.enter_context(open_model(net, weights, **options))
        opened.enter_context(_in_net(model))
        graph, notes = changes.apply(model)
        other: Graph | None = None
        if dynamic_batch:
            twice = with_twice_the_batch(
                model, options, lambda changed: opened.enter_context(open_model(net, weights, **changed))
            )
            other, _ = changes.apply(twice)
        told = provenance(net, model.files, model.plan)
        job = Job(graph, other, model.files, model.plan.phase == "TRAIN", told, external_data, advance)
        files = form.write(job, target)
        seconds = time.perf_counter() - begun
        notes += [*_unused(model), *_overflows(graph)]
        verifications: tuple[Verification, ...] = ()
        if not verifies and verify is None and form.runtime is not None:
            notes.append(f"it was not verified, as {form.library} is not installed")
        if verifies:
            same = graph is model.graph
            second, why = (
                opencv(net, weights, model) if same and not deploy and not fully_convolutional else (None, None)
            )
            notes += [] if why is None else [why]
            try:
                verifications = verified(form, job, files[0], second)
            except NetError as error:
                if verify or certificate is not None:
                    raise
                notes.append(f"it was not verified: {error.reason}")
        if verifications:
            if certificate is not None:
                write_atomically(Path(certificate), certified(verifications, files, told()))
            notes += check(verifications, verifications[0].runtime, files)
    shapes = open_shapes(graph).shapes
    return Exported(
        files[0],
        files,
        form.name,
        {name: shapes[name] for name in graph.inputs},
        {name: shapes[name] for name in graph.outputs},
        sum(file.stat().st_size for file in files),
        seconds,
        verifications,
        tuple(notes),
        model.plan.warnings,
    )


def _check_options(form: ModelFormat, **options: object) -> None:
    for name, value in options.items():
        if value and name not in form.options:
            raise InvalidArgument(f"a model of {form.name} has no {option(name)}", field=name)


def _weights_dtype(dtype: DTypeLike | None) -> "np.dtype[Any] | None":
    kind = None if dtype is None else dtypes.parse(dtype)
    if kind == np.float64:
        raise InvalidArgument(
            f"a model has its weights as float32, float16 or bfloat16. Received: dtype={dtype}", field="dtype"
        )
    return kind


@contextmanager
def _in_net(model: Model) -> "Iterator[None]":
    """Name the file of the net in an error about its layers."""
    try:
        yield
    except InvalidArgument as error:
        raise error if model.path is None else error.in_file(model.path) from None


def _unused(model: Model) -> list[str]:
    """Return a note about weights that no layer of the net takes."""
    names = ", ".join(tensor.name for tensor in model.unused[:_MOST_NAMED])
    more = f" and {len(model.unused) - _MOST_NAMED} more" if len(model.unused) > _MOST_NAMED else ""
    return [f"no layer of the net takes these of the weights: {names}{more}"] if names else []


def _overflows(graph: "Graph") -> list[str]:
    """Return notes about weights that the dtype of the file cannot hold."""
    from filler_server.tensors import Cast

    return [
        f"'{name}': {tensor.became_infinite:,} values are beyond {tensor.dtype} and became infinite"
        for name, tensor in graph.tensors.items()
        if isinstance(tensor, Cast) and tensor.became_infinite
    ]

"""Changes to a net before it becomes a model of another framework."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.interface import option
from caffe_filler.printable import counted
from filler_client._models import Model, ModelOptions
from filler_client._requests import PartialShape

if TYPE_CHECKING:
    from filler_server.models.graph import Graph
    from filler_server.models.preprocessing import Preprocessing

MeanLike: TypeAlias = ArrayLike | str | os.PathLike[str]
"""Numbers, an image, or the path of a file with one."""


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """Preparation of images by a model, as the caller asks for it.

    Attributes:
        wanted: whether the model prepares images, by what the net itself says where nothing is given.
        mean: what is subtracted.
        scale: what the difference is multiplied by.
        bgr: whether the net wants blue first.
    """

    wanted: bool = False
    mean: MeanLike | None = None
    scale: float | None = None
    bgr: bool | None = None

    def steps(self, model: Model) -> "tuple[Preprocessing | None, list[str]]":
        """Return the steps, those that are not given from the transform_param of the net, and notes about them.

        Where none are wanted, there is None.

        Raises:
            InvalidArgument: a mean is not there, or is none, or numbers are not finite.
            FillerError: a file cannot be read.
            OSError: likewise.
        """
        from filler_server.models.image_sources import image_sources
        from filler_server.models.preprocessing import Preprocessing

        mean, scale, bgr = self.mean, self.scale, self.bgr
        if not self.wanted and mean is None and scale is None and bgr is None:
            return None, []
        if scale is not None and not (isfinite(scale) and scale):
            raise InvalidArgument(f"a scale is a finite number other than 0. Received: scale={scale}", field="scale")
        own = next((source for source in image_sources(model.plan) if source.top in model.graph.inputs), None)
        if own is not None:
            if mean is None and own.transform.mean_file is not None:
                mean = _find(own.transform.mean_file, model.path)
            elif mean is None and own.transform.mean_values:
                mean = own.transform.mean_values
            scale = own.transform.scale if scale is None else scale
            bgr = own.bgr if bgr is None else bgr
        steps = Preprocessing(bool(bgr), None if mean is None else _array(mean), 1.0 if scale is None else scale)
        unsaid = f"the net is taken to want red first, as nothing says otherwise; {option('bgr')} does"
        return steps, [unsaid] if bgr is None else []


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes to a graph, in this order.

    Attributes:
        fold_batch_norm: whether normalizations become part of weights.
        images: how images are prepared.
        dtype: of the weights; None keeps each as it is.
    """

    fold_batch_norm: bool
    images: ImageOptions
    dtype: "np.dtype[Any] | None"

    def apply(self, model: Model) -> "tuple[Graph, list[str]]":
        """Return the graph of a model as it is written, and notes about it.

        Raises:
            InvalidArgument: the steps for images do not fit.
            FillerError: a file cannot be read.
            OSError: likewise.
        """
        from filler_server.models.constants import with_constants
        from filler_server.models.folding import fold_batch_norm
        from filler_server.models.preprocessing import preprocessed
        from filler_server.models.sources import constant_inputs
        from filler_server.models.statistics import with_means
        from filler_server.tensors import cast

        graph, notes = with_constants(model.graph, constant_inputs(model.plan)), []
        if self.fold_batch_norm:
            folded = fold_batch_norm(graph)
            graph = folded.graph
            number = counted(len(folded.layers), "layer")
            notes.append(f"{number} became part of the weights before {'it' if len(folded.layers) == 1 else 'them'}")
        steps, told = self.images.steps(model)
        notes += told
        if steps is not None:
            graph = preprocessed(graph, steps)
        if self.dtype is not None:
            if self.dtype != np.float32:
                graph = with_means(graph)
            tensors = {name: cast(tensor, self.dtype) for name, tensor in graph.tensors.items()}
            graph = replace(graph, tensors=tensors)
        return graph, notes


def with_twice_the_batch(model: Model, options: ModelOptions, open_net: Callable[[ModelOptions], Model]) -> Model:
    """Return the same net with twice the batch: the first axis of inputs that have that of the first one.

    Args:
        model: the net.
        options: those with which it was opened.
        open_net: opens it with others.

    Raises:
        InvalidArgument: the net cannot have it.
    """
    from filler_server.models.sources import constant_inputs

    graph = model.graph
    # What the net gives itself has a batch of its own.
    given = constant_inputs(model.plan)
    shapes = {name: graph.shape(name) for name in graph.inputs if name not in given}
    if not shapes:
        raise InvalidArgument("a net without inputs has no batch", field="dynamic_batch")
    batch = next(iter(shapes.values()))[:1]
    inputs: dict[str, PartialShape] = dict(options.get("inputs") or {})
    inputs.update(
        (name, (2 * shape[0], *shape[1:]) if batch and shape[:1] == batch else shape) for name, shape in shapes.items()
    )
    doubled: ModelOptions = {**options, "inputs": inputs}
    try:
        return open_net(doubled)
    except FillerError as error:
        raise InvalidArgument(
            f"the net cannot have another batch than {batch[0] if batch else 'its own'}: {error}",
            field="dynamic_batch",
        ) from None


def _array(mean: MeanLike) -> NDArray[Any]:
    """Return a mean that is given as a file or as numbers."""
    if isinstance(mean, str | os.PathLike):
        from filler_server.weights.opening import open_weights

        with open_weights(os.fspath(mean)) as file:
            if len(file.tensors) != 1:
                raise InvalidArgument(
                    f"a mean is one array, as in a .binaryproto or .npy. Received: {mean}, which has "
                    f"{counted(len(file.tensors), 'array')}",
                    field="mean",
                )
            values = np.array(file.tensors[0].array(), np.float64)
    else:
        try:
            values = np.asarray(mean, np.float64)
        except (TypeError, ValueError):
            raise InvalidArgument(f"a mean is a file or numbers. Received: mean={mean!r}", field="mean") from None
    if not np.isfinite(values).all():
        raise InvalidArgument(f"a mean has finite numbers. Received: mean={mean!r}", field="mean")
    return values


def _find(name: str, net: Path | None) -> Path:
    """Return the path of the mean that a net names, from here or from a folder above the net."""
    for folder in (Path(), *(() if net is None else net.resolve().parents)):
        if (folder / name).is_file():
            return folder / name
    raise InvalidArgument(
        f"the net asks for the mean '{name}', which is not here; {option('mean', 'FILE')} names it", field="mean"
    )

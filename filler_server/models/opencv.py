"""OpenCV 4, which reads prototxt and .caffemodel itself: a second opinion on what a net computes."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from filler_server.models.graph import Graph


class OpenCv:
    """OpenCV with a net of Caffe.

    Attributes:
        name: what it is, with its version.
        values: names of the values that it tells: the first tops of layers.

    Args:
        net: a file of prototxt.
        weights: a .caffemodel.
        graph: the same net.

    Raises:
        ValueError: this version does not read such nets, or not this one.
    """

    def __init__(self, net: Path, weights: Path | None, graph: Graph) -> None:
        self.name = f"OpenCV {cv2.__version__}"
        read = getattr(cv2.dnn, "readNetFromCaffe", None)
        if read is None or int(cv2.__version__.partition(".")[0]) > 4:
            raise ValueError(f"{self.name} reads no nets of Caffe")
        try:
            self._net = read(str(net), *([] if weights is None else [str(weights)]))
        except (cv2.error, SystemError) as error:
            raise ValueError(_reason(error)) from None
        self._net.enableFusion(False)
        layers = set(self._net.getLayerNames())
        self._layers = {node.tops[0]: node.name for node in graph.nodes if node.tops and node.name in layers}
        self.values = frozenset(self._layers)

    def compute(self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Return some values, given those of the inputs.

        Raises:
            ValueError: OpenCV cannot compute them.
        """
        try:
            for name, values in inputs.items():
                self._net.setInput(np.ascontiguousarray(values, np.float32), name)
            return dict(zip(names, self._net.forward([self._layers[name] for name in names]), strict=True))
        except (cv2.error, SystemError) as error:
            raise ValueError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Return what OpenCV says, without where in its sources."""
    line = str(error).strip().splitlines()[0]
    return re.sub(r"^.*?error: \([^)]*\) ", "", line)[:200]

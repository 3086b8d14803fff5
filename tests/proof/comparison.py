"""One net, exported in every form, and what each runtime makes of it against the reference."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

import filler_client
from filler_client._models import ModelOptions, open_model
from filler_server.models.graph import Graph
from filler_server.models.onnx.runtime import OnnxRuntime
from filler_server.models.opencv import OpenCv
from filler_server.models.samples import sample_inputs
from filler_server.models.sources import constant_inputs
from filler_server.models.verification import Difference, Runtime, Verification, verify
from tests.proof.runtimes import Source, Torch

_T = TypeVar("_T")
Arrays = Mapping[str, NDArray[Any]]


class NotRead(Exception):
    """A net that OpenCV does not read, or not compute."""


@dataclass
class Comparison:
    """Result of a net in every form.

    Attributes:
        inputs: the shapes of its inputs.
        layers: how many layers compute.
        outputs: by runtime, the largest error of an output in units of its largest value.
        verifications: every value of every runtime.
        seconds: of each step; of a runtime, what the outputs take.
        nbytes: length of the .onnx.
        refusals: by form, why it cannot say the net.
        crashes: by form, an error that is none of this project's.
        flat: outputs that are constant, of which a comparison tells little.
    """

    inputs: Mapping[str, tuple[int, ...]]
    layers: int
    outputs: dict[str, float] = field(default_factory=dict)
    verifications: list[Verification] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    nbytes: int = 0
    refusals: dict[str, str] = field(default_factory=dict)
    crashes: dict[str, str] = field(default_factory=dict)
    flat: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[tuple[str, Difference]]:
        """The values that are wrong, each with the runtime."""
        return [(one.runtime, difference) for one in self.verifications for difference in one.failures]


def compare(
    net: Path, weights: Path | None, folder: Path, *, opencv: bool = True, **options: Unpack[ModelOptions]
) -> Comparison:
    """Export a net as ONNX and as a source of PyTorch, and compare every value with the reference.

    Args:
        net: the prototxt.
        weights: its weights, a .caffemodel where OpenCV is to read them.
        folder: where the models are written.
        opencv: whether OpenCV 4 is asked as well.
        options: those of `ModelOptions`.
    """
    with open_model(net, weights, **options) as model:
        graph, constants = model.graph, constant_inputs(model.plan)
        inputs = {**sample_inputs(graph, np.random.default_rng(1)), **constants}
        result = Comparison({name: array.shape for name, array in inputs.items()}, len(graph.nodes))

        def attempt(step: str, make: Callable[[], _T]) -> list[_T]:
            begun = time.perf_counter()
            try:
                made = make()
            except (filler_client.FillerError, NotRead) as error:
                result.refusals[step] = str(error)
                return []
            except Exception as error:
                result.crashes[step] = f"{type(error).__name__}: {error}"
                return []
            result.seconds[step] = time.perf_counter() - begun
            return [made]

        runtimes: list[Runtime] = []
        for exported in attempt(
            "onnx", lambda: filler_client.export(net, folder / "net.onnx", weights, verify=False, **options)
        ):
            result.nbytes = exported.nbytes
            runtimes += attempt("read onnx", lambda path=exported.path: OnnxRuntime(path))
        for exported in attempt(
            "py", lambda: filler_client.export(net, folder / "net.py", weights, verify=False, **options)
        ):
            runtimes += attempt("load_net", lambda: Torch(net, weights, **options))
            runtimes += attempt("read py", lambda path=exported.path: Source(path, graph, constants))
        if opencv:
            runtimes += attempt("opencv", lambda: _opencv(net, weights, graph, inputs))
        result.verifications = verify(graph, runtimes, inputs)
        _measure(result, graph, inputs, runtimes)
    return result


def _opencv(net: Path, weights: Path | None, graph: Graph, inputs: Arrays) -> Runtime:
    """Return OpenCV 4 with its own reading of a net, if it computes it."""
    try:
        runtime = OpenCv(net, weights, graph)
        runtime.compute(inputs, sorted(runtime.values))
    except ValueError as error:
        raise NotRead(str(error)) from None
    return runtime


def _measure(result: Comparison, graph: Graph, inputs: Arrays, runtimes: list[Runtime]) -> None:
    """Enter the largest errors of outputs, and how long each runtime takes for them."""
    for runtime, verification in zip(runtimes, result.verifications, strict=True):
        errors = {each.value: each.relative for each in verification.differences if each.value in graph.outputs}
        if errors:
            result.outputs[runtime.name] = max(errors.values())
        begun = time.perf_counter()
        values = runtime.compute(inputs, list(errors)) if errors else {}
        result.seconds[runtime.name] = time.perf_counter() - begun
        result.flat += [name for name, array in values.items() if array.size > 1 and not np.ptp(array) > 0]

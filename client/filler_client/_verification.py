"""Proof that an exported model computes what its net does."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.interface import option
from caffe_filler.printable import counted, printable
from filler_client._model_formats import Job, ModelFormat
from filler_client._models import Model, ModelWeights
from filler_client._provenance import digest
from filler_client._requests import NetLike

if TYPE_CHECKING:
    from filler_server.models.verification import Arrays, Runtime, Verification

_SEED = 1
_LONGEST_REASON = 300


class VerificationError(FillerError):
    """A model does not compute what the net does that it was made from, or does not run at all.

    Attributes:
        verifications: the comparisons that were made.
    """

    def __init__(self, message: str, verifications: "Iterable[Verification]" = ()) -> None:
        super().__init__(message)
        self.verifications = tuple(verifications)


def is_verifiable(form: ModelFormat, wanted: bool | None) -> bool:
    """Whether models of a format are verified: where that is wanted, or by default where its library is installed.

    Raises:
        InvalidArgument: it is wanted, and no library can be asked.
        Unavailable: it is wanted, and the library is not installed.
    """
    if wanted is False:
        return False
    if form.runtime is None:
        if wanted:
            raise InvalidArgument(f"a model of {form.name} has no {option('verify')}", field="verify")
        return False
    installed = find_spec(form.library) is not None
    if wanted and not installed:
        from filler_server.weights.extras import needs_extra

        with needs_extra(form.extra, f"the verification of a model of {form.name}", form.library):
            raise ModuleNotFoundError(name=form.library)
    return installed


def verified(form: ModelFormat, job: Job, path: Path, second: "Runtime | None") -> "tuple[Verification, ...]":
    """Return the comparisons of an exported model with the reference, on random inputs.

    Args:
        form: the format of the model.
        job: the net that was written; where the model is for any batch, it is compared with another one, too.
        path: its file.
        second: another runtime that computes the net.

    Raises:
        FillerError: the reference cannot compute the net.
        VerificationError: the library cannot open the model, or not compute it.
    """
    from filler_server.models.samples import sample_inputs
    from filler_server.models.verification import verify

    if form.runtime is None:
        return ()
    with _told(path, form.library):
        runtime = _Named(form.runtime(job, path), path)
    graphs = [job.graph] if job.other is None else [job.graph, job.other]
    found: list[Verification] = []
    for number, graph in enumerate(graphs):
        inputs = sample_inputs(graph, np.random.default_rng(_SEED))
        runtimes: list[Runtime] = [runtime, *([second] if second is not None and not number else [])]
        found += verify(graph, runtimes, inputs)
    return tuple(found)


class _Named:
    """A runtime whose exceptions name the file."""

    def __init__(self, runtime: "Runtime", path: Path) -> None:
        self.name = runtime.name
        self.values = runtime.values
        self._runtime = runtime
        self._path = path

    def compute(self, inputs: "Arrays", names: Sequence[str]) -> "Arrays":
        """Return some values.

        Raises:
            VerificationError: the runtime raises anything of its own.
        """
        with _told(self._path, self.name):
            return self._runtime.compute(inputs, names)


@contextmanager
def _told(path: Path, runtime: str) -> Iterator[None]:
    """Say of what a runtime raises which one it is and of which file; each has exceptions of its own."""
    try:
        yield
    except (FillerError, MemoryError, OSError):
        raise
    except Exception as error:
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        if len(reason) > _LONGEST_REASON:
            reason = f"{reason[:_LONGEST_REASON]}.."
        raise VerificationError(f"{path} does not run in {runtime}: {reason}") from error


def opencv(net: NetLike, weights: ModelWeights, model: Model) -> "tuple[Runtime | None, str | None]":
    """Return OpenCV with its own reading of a net, or None and, where it was tried, the reason."""
    if find_spec("cv2") is None or not isinstance(net, os.PathLike) or model.plan.phase != "TEST":
        return None, None
    paths = model.files
    if isinstance(weights, Mapping) or len(paths) > 1 or any(path == Path(net) for path in paths):
        return None, None
    from filler_server.models.opencv import OpenCv
    from filler_server.weights.opening import open_weights

    for path in paths:
        with open_weights(path) as file:
            if file.format != "caffemodel":
                return None, None
    from filler_server.models.samples import sample_inputs

    try:
        runtime = OpenCv(Path(net), paths[0] if paths else None, model.graph)
        # What it reads it may not compute.
        runtime.compute(sample_inputs(model.graph, np.random.default_rng(_SEED)), sorted(runtime.values))
    except ValueError as error:
        return None, f"OpenCV was not asked: {error}"
    return runtime, None


def check(verifications: "Sequence[Verification]", runtime: str, files: Sequence[Path]) -> list[str]:
    """Refuse a model that computes anything else than the reference; return what is to be told of other runtimes.

    Raises:
        VerificationError: naming the worst value.
    """
    notes = []
    for verification in verifications:
        failures = verification.failures
        worst = max(failures, key=lambda difference: difference.relative, default=None)
        if worst is None:
            continue
        told = (
            f"{counted(len(failures), 'top')} of {len(verification.differences)} are further from the reference than "
            f"{verification.tolerance:g} of their largest value: first '{failures[0].value}' of layer "
            f"'{failures[0].layer}' ({failures[0].type}), and most '{worst.value}', by {worst.relative:.3g}"
        )
        if verification.runtime == runtime:
            raise VerificationError(
                f"{files[0]} does not compute what the net does: in {runtime} {told}", verifications
            )
        notes.append(f"in {verification.runtime} {told}")
    return notes


def certificate(verifications: "Sequence[Verification]", files: Sequence[Path], provenance: Mapping[str, str]) -> bytes:
    """Return what was verified as JSON, with the digests of all files."""
    document: dict[str, Any] = {
        "files": {file.name: digest(file) for file in files},
        "source": dict(provenance),
        "seed": _SEED,
        "verifications": [verification.as_dict() for verification in verifications],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"

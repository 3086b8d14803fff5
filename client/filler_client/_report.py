"""A page about a net and its weights."""

import os
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from caffe_filler import dtypes
from caffe_filler.errors import FillerError, InvalidArgument, Unavailable
from caffe_filler.interface import option
from caffe_filler.v1 import filler_pb2
from filler_client import _check, _finetune, _lint, _requests
from filler_client._client import FillerClient
from filler_client._finetune import FinetuneOptions
from filler_client._models import ModelWeights, opened_weights
from filler_client._options import takes_options
from filler_client._requests import NetLike, NetOptions

if TYPE_CHECKING:
    from filler_server.diagnostics.report.contents import Contents, Weights
    from filler_server.diagnostics.report.page import Report
    from filler_server.tensors import Advance, Tensor


@takes_options(FinetuneOptions)
def report(
    net: NetLike | None = None,
    weights: ModelWeights = None,
    *,
    against: ModelWeights = None,
    reshape: bool = False,
    client: FillerClient | None = None,
    advance: "Advance | None" = None,
    **options: Unpack[FinetuneOptions],
) -> "Report":
    """Return a page about a net and its weights: layers, signal, distributions, images, findings and source.

    The page is one file of HTML, without scripts, that loads nothing. The values are read once, and memory does not
    grow with them: histograms have up to 65,536 values of a blob, images up to 64 filters or 96 rows and 192 columns,
    and 300 blobs are drawn; each caption says so. Needs the extra `report`.

    Args:
        net: prototxt text, the bytes or path of a file, or a NetParameter; of a .caffemodel its weights are shown where
            no others are given. None: the net that the file of weights describes, or none, and then there are neither
            layers, signal, findings nor source.
        weights: as of `check`; None: those that the fillers of the net make.
        against: other weights, shown side by side with these.
        reshape: whether weights whose axes are joined or split otherwise are taken.
        client: makes the weights where no files have them; by default this process.
        advance: is told the bytes of each step and the tensor that they belong to.
        options: those of `NetOptions`, and where no weights are given seed, dtype, stream, data_draws and before.

    Raises:
        Unavailable: a library is not installed.
        InvalidArgument: neither net nor weights are given, an argument cannot be what it should, or options of filling
            are given with weights.
        FillerError: one of the tree in `caffe_filler.errors`.
        OSError: a file cannot be read.

    Example:
        report(Path("deploy.prototxt"), seed=1701).save(Path("report.html"))
    """
    try:
        from filler_server.diagnostics.report import page
    except ModuleNotFoundError as error:
        raise Unavailable(f"a report needs {error.name}: pip install 'caffe-filler[report]'") from None
    with ExitStack() as files:
        if client is None:
            client = files.enter_context(FillerClient.embedded())
        try:
            contents = _contents(net, weights, against, reshape, client, advance, options)
        except FillerError as error:
            raise error.in_file(net) if isinstance(net, os.PathLike) else error from None
    return page.render(contents)


def _contents(
    net: NetLike | None,
    weights: ModelWeights,
    against: ModelWeights,
    reshape: bool,
    client: FillerClient,
    advance: "Advance | None",
    options: FinetuneOptions,
) -> "Contents":
    from filler_server.diagnostics.report.contents import Contents
    from filler_server.prototxt.content import may_be_binary

    planned = cast("NetOptions", {name: value for name, value in options.items() if name in NetOptions.__annotations__})
    described, has_weights = _described(net, weights)
    label = _label(weights if weights is not None else net if has_weights else None)
    first = _weights(label, net, weights, reshape, client, advance, options)
    sets = [first]
    if against is not None:
        # Options of filling are of the values that are compared with the file.
        sets.append(_weights(_label(against), described, against, reshape, client, advance, planned))
    if described is None:
        return Contents(label, sets)
    data = _requests.net_bytes(described)
    plan = client.plan_net(data, **planned)
    text = "" if may_be_binary(data) else data.decode("utf-8-sig", "replace")
    signal = client.signal(data, **planned)
    title = plan.name or (Path(net).name if isinstance(net, os.PathLike) else "net")
    shown: NetLike = net if isinstance(net, os.PathLike) and text else data
    # Lint looks at TEST, too, where batches may have other sizes.
    inputs = {name: (None, *dims[1:]) if dims else dims for name, dims in (planned.get("inputs") or {}).items()}
    findings = _lint.lint(shown, inputs=inputs)
    request = _finetune.fill_request(described, **options)
    provenance = [("Phase", plan.phase)]
    command = None
    if not has_weights:
        stream = _stream_name(request.stream)
        provenance += [("Seed", str(request.seed)), ("Stream", stream), ("Type", dtypes.from_wire(request.dtype).name)]
        command = _command(net, plan.phase, options, request)
    return Contents(title, sets, plan, signal, findings, text, provenance, command)


def _described(net: NetLike | None, weights: ModelWeights) -> tuple[NetLike | None, bool]:
    """Return the net, or that of the file of weights, and whether files have the weights."""
    with ExitStack() as files:
        if net is not None:
            described, opened = opened_weights(net, weights, files)
            return described, bool(opened)
        if weights is None:
            raise InvalidArgument(f"neither a net nor {option('weights', 'FILE')} is given: there is nothing to show")
        _, opened = opened_weights(b"", weights, files)
        return (opened[0].net if len(opened) == 1 else None), True


def _weights(
    label: str,
    net: NetLike | None,
    weights: ModelWeights,
    reshape: bool,
    client: FillerClient,
    advance: "Advance | None",
    options: FinetuneOptions | NetOptions,
) -> "Weights":
    from filler_server.diagnostics.report.contents import Weights
    from filler_server.diagnostics.report.sample import BlobSample

    samples: dict[str, BlobSample] = {}

    def watch(name: str, tensor: "Tensor") -> "Tensor":
        samples[name] = BlobSample(tensor)
        return samples[name]

    checked = _check.check_watched(
        net, weights, watch, reshape=reshape, client=client, advance=advance, **cast("FinetuneOptions", options)
    )
    return Weights(label, checked, samples)


def _label(weights: Any) -> str:
    if weights is None:
        return "filled weights"
    if isinstance(weights, Mapping):
        return "given arrays"
    paths = [weights] if isinstance(weights, str | os.PathLike) else list(weights)
    return ", ".join(Path(path).name for path in paths)


def _stream_name(stream: Any) -> str:
    return filler_pb2.RandomStream.Name(stream).lower().replace("_", "-", 1).replace("_", ".")


def _command(
    net: NetLike | None, phase: str, options: FinetuneOptions, request: filler_pb2.FillNetRequest
) -> str | None:
    """Return the command that fills a net of a file so, None where options are messages, or there is no file."""
    if not isinstance(net, os.PathLike) or options.get("before"):
        return None
    words: list[str] = ["filler", "init", os.fspath(net)]
    words += ["--phase", phase] if phase != "TRAIN" else []
    words += ["--level", str(options["level"])] if options.get("level") else []
    words += ["--data-draws", str(options["data_draws"])] if "data_draws" in options else []
    for stage in options.get("stages", ()):
        words += ["--stage", stage]
    for name, flag in (("inputs", "--input"), ("tops", "--top")):
        shapes: Any = options.get(name) or {}
        for top, shape in shapes.items():
            words += [flag, f"{top}={','.join('?' if dim is None else str(dim) for dim in shape)}"]
    for blob, filler in (options.get("fillers") or {}).items():
        words += ["--filler", f"{blob}={filler if isinstance(filler, str) else str(filler).replace(chr(10), ' ')}"]
    words += [f"--{name}" for name in ("strict", "lenient") if options.get(name)]
    words += ["--seed", str(request.seed), "--stream", _stream_name(request.stream)]
    words += ["--dtype", dtypes.from_wire(request.dtype).name, "-o", "weights.safetensors"]
    return shlex.join(words)

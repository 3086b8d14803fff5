"""Translation of Python arguments to messages of the wire."""

import copy
import operator
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias, TypedDict, Unpack, cast

import numpy as np
from google.protobuf import text_format

from caffe_filler import dtypes
from caffe_filler.axes import FanAxes
from caffe_filler.caffe.caffe_pb2 import TEST, TRAIN, BlobShape, FillerParameter, NetParameter, NetState
from caffe_filler.caffe.caffe_pb2 import Phase as PhaseNumber
from caffe_filler.errors import InvalidArgument, PrototxtError, RegionError, ShapeError
from caffe_filler.files import read_file
from caffe_filler.filler_types import WITHOUT_DRAWS
from caffe_filler.interface import option, option_name
from caffe_filler.signatures import HDF5
from caffe_filler.v1 import filler_pb2

Phase: TypeAlias = Literal["TRAIN", "TEST", "train", "test"] | int
"""A phase by its name, in any case, or as the enum of Caffe's schema."""

Stream: TypeAlias = Literal["philox", "caffe", "caffe-1.56", "caffe-1.55"]
DataDraws: TypeAlias = Literal["emulate", "rc3", "none"] | int
"""Draws of layers that read data: as in Caffe 1.0 or 1.0 rc3, none, or so many outputs of the engine each."""

FillerLike: TypeAlias = FillerParameter | str
"""A FillerParameter, its prototxt (`'type: "msra" variance_norm: FAN_OUT'`), or the name of a type alone; types may be
names of other frameworks, such as `torch.kaiming_uniform_`."""

NetLike: TypeAlias = str | bytes | bytearray | memoryview | os.PathLike[str] | NetParameter
"""Prototxt as a string, prototxt or binary as bytes, the path of a file with either, or a message."""

PartialShape: TypeAlias = Sequence[int | None]
"""A shape with None where a dimension is not known."""

MAX_SEED = 2**64 - 1

MOST_FILE_BYTES = (1 << 31) - 1
"""Length of the longest net or solver: that of the longest message of protobuf."""


class UnnamedBlobWarning(UserWarning):
    """A blob that is filled at random has no name, so that blobs of one shape are filled alike."""


_MAX_INT32 = 2**31 - 1
_MAX_UINT32 = 2**32 - 1
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Flat:
    """The elements start <= i < stop of a blob in C order: what a flat-sharding rank holds."""

    start: int = 0
    stop: int | None = None


RegionLike: TypeAlias = Flat | slice | Sequence[slice | tuple[int, int | None]]
"""A flat range, or one slice or (start, stop) per axis; slices may be open, and axes left out at the end are whole."""

Selection: TypeAlias = Iterable[str] | Mapping[str, RegionLike | None]
"""Names of blobs, or names with the region wanted of each (None: the whole blob)."""


class ValueOptions(TypedDict, total=False):
    """Options on which values depend, besides filler and shape.

    Attributes:
        seed: 0 (the default) to 2**64 - 1.
        dtype: float32 (the default), float64, float16 or bfloat16.
        stream: philox (the default); caffe, for the very numbers that Caffe draws, of whose seed the low 32 bits
            count; caffe-1.56 or caffe-1.55 for Caffe over Boost 1.56 to 1.63, or up to 1.55.
    """

    seed: int
    dtype: dtypes.DTypeLike
    stream: Stream


class FillOptions(ValueOptions, total=False):
    """Options on which a single blob depends, besides filler and shape.

    Attributes:
        name: selects the random numbers of philox; in a net it is `<layer>/<blob index>`.
        region: the part that is wanted: `Flat(start, stop)`, or slices as in `np.s_[0:32, :]`.
        axes: which axes of the shape are inputs, outputs and stacks, where it is not Caffe's [out, in, kernel...]; fans
            are those of the whole blob, whatever region is asked for.
        layout: the same in words, such as `in,out`, `stack,in,out` or `...,in,out` for `H,W,in,out`, or in letters,
            such as `HWIO`; `FanAxes.from_layout` has the rules.
    """

    name: str
    region: RegionLike | None
    axes: FanAxes | None
    layout: str | None


class NetOptions(TypedDict, total=False):
    """Options on which a plan depends, besides the net.

    Attributes:
        phase: TRAIN (the default) or TEST, in any case or as the enum of Caffe's schema; layers include and exclude
            by it.
        level: level of the net's state; 0 by default.
        stages: stages of the net's state, besides its own.
        inputs: shapes of data tops that the net itself does not know; None for a dimension that it does know.
        tops: shapes of tops of layer types that the planner does not know.
        fillers: what fills blobs in place of the filler that the net has for them, such as one of a fork, by the names
            of blobs; each `*` in a name stands for any characters.
        strict: what would be a warning is an error.
        lenient: pass over fields and enum values that are plainly misspelled; else they are errors.
    """

    phase: Phase
    level: int
    stages: Sequence[str]
    inputs: Mapping[str, PartialShape] | None
    tops: Mapping[str, PartialShape] | None
    fillers: Mapping[str, FillerLike] | None
    strict: bool
    lenient: bool


class FillNetOptions(NetOptions, ValueOptions, total=False):
    """Options on which the weights of a net depend, besides the net.

    Attributes:
        data_draws: what data layers draw from a Caffe stream: emulate (the default), as in `caffe train`; rc3, as in
            that of 1.0 rc3; none; or a number of outputs of the engine for each.
        before: requests for plans of nets that draw from a Caffe stream before this one.
        blobs: names `<layer>/<index>`, or a mapping from names to regions (None: the whole blob); all by default.
    """

    data_draws: DataDraws
    before: Sequence[filler_pb2.PlanNetRequest]
    blobs: Selection | None


def filler_parameter(filler: FillerLike) -> FillerParameter:
    """Return the message.

    Raises:
        InvalidArgument: it is neither text nor a message.
        PrototxtError: the text is not a FillerParameter.
    """
    if isinstance(filler, FillerParameter):
        return filler
    _check_text(filler, "filler")
    if all(part.isidentifier() for part in filler.split(".")):
        return FillerParameter(type=filler)
    try:
        return text_format.Parse(filler, FillerParameter())
    except text_format.ParseError as error:
        # protobuf puts the place in front of the message.
        text = str(error).split(" : ", 1)[-1]
        raise PrototxtError(f"{text} Received: {filler!r}", line=error.GetLine(), column=error.GetColumn()) from None


def net_bytes(net: NetLike) -> bytes:
    """Return the net as the bytes of a file.

    Raises:
        InvalidArgument: it is none of the things that hold a net.
        OSError: the file cannot be read.
    """
    if isinstance(net, NetParameter):
        return net.SerializePartialToString()
    if isinstance(net, str):
        return _check_text(net, "net").encode()
    if isinstance(net, os.PathLike):
        return net_file(net)
    if not isinstance(net, bytes | bytearray | memoryview):
        raise InvalidArgument(f"a net is text, bytes, a path or a message. Received: net={net!r}")
    return bytes(net)


def net_file(path: "os.PathLike[str]") -> bytes:
    """Return the net of a file as bytes: those of the file, or the net that an HDF5 file has as its `model_prototxt`.

    Raises:
        FillerError: it is HDF5 that has no net, or is damaged; or it is too long, a device, or a pipe to which nobody
            writes.
        OSError: the file cannot be read.
    """
    data = read_file(path, MOST_FILE_BYTES)
    if not data.startswith(HDF5):
        return data
    from filler_server.weights.opening import open_weights

    with open_weights(os.fspath(path)) as weights:
        if weights.net is None:
            raise InvalidArgument(
                f"{path}: the HDF5 file has no net: neither a dataset nor an attribute model_prototxt"
            )
        return weights.net.SerializePartialToString()


def plan_request(net: NetLike, **options: Unpack[NetOptions]) -> filler_pb2.PlanNetRequest:
    """Return the request for a plan.

    Raises:
        InvalidArgument: an argument cannot be what it should.
        OSError: the file cannot be read.
    """
    level, stages = options.get("level", 0), options.get("stages", ())
    phase = _phase(options.get("phase", TRAIN))
    if isinstance(stages, str):
        raise InvalidArgument(f"stages are a sequence of names. Received: stages={stages!r}")
    if _integer(level, -_MAX_INT32 - 1, _MAX_INT32) is None:
        raise InvalidArgument(f"a level is an integer of 32 bits. Received: level={level!r}")
    names = [_check_text(stage, "stage") for stage in stages]
    state = NetState(phase=phase, level=level, stage=names)
    strict, lenient = _strictness(options.get("strict", False), options.get("lenient", False))
    request = filler_pb2.PlanNetRequest(net=net_bytes(net), state=state, strict=strict, lenient=lenient)
    for field, shapes in ((request.inputs, options.get("inputs")), (request.tops, options.get("tops"))):
        for name, shape in (shapes or {}).items():
            dims = [_integer(-1 if dim is None else dim, -1, _MAX_INT64) for dim in shape]
            if None in dims:
                raise ShapeError(
                    f"a dimension is an integer, or None where it is not known. Received: {name}={shape!r}"
                )
            field.add(name=_check_text(name, "name")).shape.dim.extend(dim for dim in dims if dim is not None)
    for name, filler in (options.get("fillers") or {}).items():
        request.fillers.add(name=_check_text(name, "name"), filler=filler_parameter(filler))
    return request


def _phase(phase: object) -> PhaseNumber:
    """Return the number of a phase, from its name in any case or from the number itself."""
    names = {"TRAIN": TRAIN, "TEST": TEST}
    number = None if isinstance(phase, bool) else _integer(phase, TRAIN, TEST)
    found = (
        names.get(phase.upper())
        if isinstance(phase, str)
        else {0: TRAIN, 1: TEST}.get(-1 if number is None else number)
    )
    if found is None:
        raise InvalidArgument(f"a phase is TRAIN or TEST. Received: phase={phase!r}")
    return found


def with_draws(
    plan: filler_pb2.PlanNetRequest,
    *,
    seed: int,
    stream: Stream,
    data_draws: DataDraws,
    before: Sequence[filler_pb2.PlanNetRequest] = (),
) -> filler_pb2.PlanNetRequest:
    """Return the request with the wish to count what each layer draws from a Caffe stream.

    Raises:
        InvalidArgument: an argument cannot be what it should.
    """
    draws = filler_pb2.Draws(
        stream=_enum(filler_pb2.RandomStream, "stream", stream),
        seed=check_seed(seed),
        before=before,
    )
    _set_data_draws(draws, data_draws)
    asked = copy.deepcopy(plan)
    asked.draws.CopyFrom(draws)
    return asked


def upgrade_request(file: NetLike, *, strict: bool = False, lenient: bool = False) -> filler_pb2.UpgradeNetRequest:
    """Return the request for a file in the current format.

    Raises:
        InvalidArgument: it is to be read strictly and leniently.
        OSError: the file cannot be read.
    """
    strict, lenient = _strictness(strict, lenient)
    return filler_pb2.UpgradeNetRequest(file=net_bytes(file), strict=strict, lenient=lenient)


def _strictness(strict: bool, lenient: bool) -> tuple[bool, bool]:
    """Return how to read a file, if it is not to be read both ways.

    Raises:
        InvalidArgument: it is.
    """
    if strict and lenient:
        raise InvalidArgument(
            f"a file is read strictly or leniently. Received: {option('strict')}, {option('lenient')}"
        )
    return bool(strict), bool(lenient)


def fill_request(filler: FillerLike, shape: Sequence[int], **options: Unpack[FillOptions]) -> filler_pb2.FillRequest:
    """Return the request for one blob.

    Raises:
        InvalidArgument: an argument cannot be what it should.
    """
    name, region = options.pop("name", ""), options.pop("region", None)
    spec = blob_spec(filler, shape, name, region, options.pop("axes", None), options.pop("layout", None))
    request = values_request(**cast(ValueOptions, options))
    request.blobs.append(spec)
    return request


def values_request(**options: Unpack[ValueOptions]) -> filler_pb2.FillRequest:
    """Return a request without blobs yet.

    Raises:
        InvalidArgument: an argument cannot be what it should.
    """
    return filler_pb2.FillRequest(
        seed=check_seed(options.get("seed", 0)),
        dtype=dtypes.to_wire(options.get("dtype", "float32")),
        stream=_enum(filler_pb2.RandomStream, "stream", options.get("stream", "philox")),
    )


def blob_spec(
    filler: FillerLike,
    shape: Sequence[int],
    name: str,
    region: RegionLike | None,
    axes: FanAxes | None = None,
    layout: str | None = None,
) -> filler_pb2.BlobSpec:
    """Return the description of one blob, or a region of one.

    Raises:
        InvalidArgument: an argument cannot be what it should.
    """
    spec = filler_pb2.BlobSpec(
        filler=filler_parameter(filler), shape=BlobShape(dim=check_shape(shape)), name=_check_text(name, "name")
    )
    if region is not None:
        spec.region.CopyFrom(region_message(region))
    found = None if axes is None and layout is None else fan_axes(spec.shape.dim, axes, layout)
    if found is not None:
        spec.axes.CopyFrom(filler_pb2.FanAxes(inputs=found.inputs, outputs=found.outputs, stacks=found.stacks))
    return spec


def fan_axes(shape: Sequence[int], axes: FanAxes | None, layout: str | None) -> FanAxes | None:
    """Return the axes of a blob that either option gives; None for those of Caffe.

    Raises:
        InvalidArgument: both are given, or they are not axes of a blob of `shape`.
    """
    if axes is not None and layout is not None:
        raise InvalidArgument(
            f"axes are given by their numbers or as a layout. Received: {option('axes', axes)}, "
            f"{option('layout', layout)}",
            field="axes",
        )
    if layout is not None:
        return FanAxes.from_layout(layout, shape)
    if axes is not None:
        if not isinstance(axes, FanAxes):
            raise InvalidArgument(
                f"axes are FanAxes(inputs=..., outputs=..., stacks=...). Received: axes={axes!r}", field="axes"
            )
        axes.check(shape)
    return axes


def is_random(filler: FillerLike) -> bool:
    """Whether a filler draws random numbers; one of the user's own is taken to.

    Raises:
        InvalidArgument: it is neither text nor a message.
        PrototxtError: the text is not a FillerParameter.
    """
    param = filler_parameter(filler)
    if "." in param.type:
        from filler_server.frameworks.names import resolved

        param = resolved(param) or param
    return param.type not in WITHOUT_DRAWS


def warn_of_equal_blobs(options: FillOptions, filler: FillerLike, *, stacklevel: int = 4) -> None:
    """Warn of a blob that is filled at random without a name: each of its shape would be filled alike."""
    if "name" not in options and options.get("stream", "philox") == "philox" and is_random(filler):
        warn_of_no_name(stacklevel + 1)


def warn_of_no_name(stacklevel: int) -> None:
    """Warn that blobs without a name would be filled alike."""
    warnings.warn(
        "a blob without a name has the same values as every other of its shape, filler and seed: give each a name, "
        "as in name='conv1/0'",
        UnnamedBlobWarning,
        stacklevel=stacklevel,
    )


def fill_net_request(net: NetLike, **options: Unpack[FillNetOptions]) -> filler_pb2.FillNetRequest:
    """Return the request for a net.

    Raises:
        InvalidArgument: an argument cannot be what it should.
        OSError: the file cannot be read.
    """
    blobs = options.pop("blobs", None)
    seed, dtype = check_seed(options.pop("seed", 0)), dtypes.to_wire(options.pop("dtype", "float32"))
    stream = _enum(filler_pb2.RandomStream, "stream", options.pop("stream", "philox"))
    data_draws = options.pop("data_draws", "emulate")
    before = options.pop("before", ())
    if stream == filler_pb2.PHILOX and data_draws != "emulate":
        raise InvalidArgument(
            f"{option_name('data_draws')} goes with a stream of Caffe, from which data layers draw. "
            f"Received: data_draws={data_draws!r}, stream=philox",
            field="data_draws",
        )
    request = filler_pb2.FillNetRequest(
        net=plan_request(net, **cast(NetOptions, options)),
        seed=seed,
        dtype=dtype,
        stream=stream,
        before=before,
    )
    _set_data_draws(request, data_draws)
    if isinstance(blobs, str):
        raise InvalidArgument(f"blobs are a sequence of names or a mapping. Received: blobs={blobs!r}")
    if blobs is not None:
        selected = blobs if isinstance(blobs, Mapping) else dict.fromkeys(blobs)
        if not selected:
            raise InvalidArgument("no blob is selected. Received: blobs=[]")
        for name, region in selected.items():
            entry = request.blobs.add(name=_check_text(name, "name"))
            if region is not None:
                entry.region.CopyFrom(region_message(region))
    return request


def _set_data_draws(message: filler_pb2.Draws | filler_pb2.FillNetRequest, data_draws: DataDraws) -> None:
    if isinstance(data_draws, str):
        message.data_draws = _enum(filler_pb2.DataDraws, "data_draws", data_draws)
        return
    count = _integer(data_draws, 0, _MAX_UINT32)
    if count is None or isinstance(data_draws, bool):
        raise InvalidArgument(
            "data_draws is emulate, rc3, none or a number of outputs from 0 to 2**32 - 1. "
            f"Received: data_draws={data_draws!r}",
            field="data_draws",
        )
    message.data_draw_count = count


def _enum(enum: Any, name: str, value: str) -> Any:
    """Return the number of an enum's value from its name in Python: caffe-1.56 for CAFFE_1_56."""
    known = _names(enum)
    if value not in known:
        raise InvalidArgument(f"{name} is one of {', '.join(known)}. Received: {name}={value!r}")
    return known[value]


@cache
def _names(enum: Any) -> dict[str, int]:
    return {key.lower().replace("_", "-", 1).replace("_", "."): number for key, number in enum.items()}


def region_message(region: RegionLike) -> filler_pb2.Region:
    """Return the region as its message; axes that it leaves out at the end are whole.

    Raises:
        RegionError: it is not a region: a step, a negative index, another type.
    """
    if isinstance(region, Flat):
        return filler_pb2.Region(flat=_range(region.start, region.stop, region))
    if isinstance(region, slice):
        region = (region,)
    if isinstance(region, str) or not isinstance(region, Sequence):  # type: ignore[unreachable]
        raise RegionError(f"a region is a Flat or a sequence with one slice per axis. Received: region={region!r}")
    box = filler_pb2.Box()
    for axis in region:
        if isinstance(axis, slice):
            if axis.step not in (None, 1):
                raise RegionError(f"a region has no step. Received: region={region!r}")
            box.axes.append(_range(axis.start, axis.stop, region))
        elif isinstance(axis, tuple) and len(axis) == 2:
            box.axes.append(_range(*axis, region))
        else:
            raise RegionError(f"an axis is a slice or (start, stop). Received: region={region!r}")
    return filler_pb2.Region(box=box)


def check_seed(seed: int) -> int:
    """Return the seed when it is one.

    Raises:
        InvalidArgument: it is not in 0 <= seed < 2**64.
    """
    number = _integer(seed, 0, MAX_SEED)
    if number is None:
        raise InvalidArgument(f"a seed is an integer from 0 to 2**64 - 1. Received: seed={seed!r}")
    return number


def check_shape(shape: Sequence[int]) -> list[int]:
    """Return the shape of a blob when it is one.

    Raises:
        ShapeError: a dimension is not an integer from 1 to 2**63 - 1.
    """
    # NumPy takes arrays and single numbers, too, and ten times as long.
    given = shape if isinstance(shape, tuple | list) else list(np.atleast_1d(np.asarray(shape, dtype=object)))
    dims = [number for dim in given if (number := _integer(dim, 1, _MAX_INT64)) is not None]
    if len(dims) < len(given):
        raise ShapeError(f"every dimension of a blob is an integer from 1 to 2**63 - 1. Received: shape={list(given)}")
    return dims


def _range(start: int | None, stop: int | None, region: object) -> filler_pb2.Range:
    first = 0 if start is None else _integer(start, 0, _MAX_INT64)
    end = None if stop is None else _integer(stop, 0, _MAX_INT64)
    if first is None or (end is None) != (stop is None):
        raise RegionError(f"an index of a region is an integer, 0 or more. Received: region={region!r}")
    return filler_pb2.Range(start=first, stop=end)


def _integer(value: object, lowest: int, highest: int) -> int | None:
    """Return the value as an int, or None when it is not an integer or out of range."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None
    if isinstance(value, bool):
        return None
    return number if lowest <= number <= highest else None


def _check_text(text: str, what: str) -> str:
    """Return the text when a message can hold it.

    Raises:
        InvalidArgument: it is not a string, or holds half of a surrogate pair.
    """
    if not isinstance(text, str):
        raise InvalidArgument(f"{what} is a string. Received: {what}={text!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"text must be encodable in UTF-8. Received: {what}={text!r}") from None
    return text

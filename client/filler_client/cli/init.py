"""`filler init`: all learnable blobs of a net into a file, filled or copied from trained weights."""

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from filler_client.cli.options import (
    Server,
    data_draws_option,
    dtype_option,
    in_file,
    net_options,
    seed_option,
    server_option,
    stream_option,
)
from filler_client.cli.weights_net import max_shard_size_option

if TYPE_CHECKING:
    from caffe_filler.caffe.caffe_pb2 import NetParameter
    from caffe_filler.v1 import filler_pb2
    from filler_client import DataDraws, NetOptions, Piece, Stream
    from filler_server.weights.merge import Merge, MergePlan
    from filler_server.weights.writer import Tensor, Writer


@click.command()
@net_options
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .safetensors, .npz, .caffemodel, .h5 or .pt.  [required, unless --dry-run]",
)
@click.option(
    "--weights",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trained weights to copy from, by the names of layers, of any format; repeatable, the last one counts.",
)
@click.option("--ignore-shape", is_flag=True, help="With --weights: fill blobs whose shapes differ, too.")
@click.option("--dry-run", is_flag=True, help="With --weights: only print what would be copied and what filled.")
@seed_option
@stream_option
@data_draws_option
@dtype_option
@click.option(
    "--names",
    type=click.Choice(["caffe", "torch"]),
    default="caffe",
    show_default=True,
    help="Names of the tensors: <layer>/<blob index>, or <layer>.weight, <layer>.bias ...",
)
@max_shard_size_option
@click.option(
    "--test-net",
    type=click.IntRange(0),
    metavar="K",
    help="With --solver: fill its test net of this number, from 0, in place of its train net.",
)
@server_option
def init(
    net: Path | None,
    solver: Path | None,
    output: Path | None,
    weights: tuple[Path, ...],
    ignore_shape: bool,
    dry_run: bool,
    seed: int | None,
    stream: "Stream",
    data_draws: "DataDraws",
    dtype: str,
    names: str,
    max_shard_size: int | None,
    test_net: int | None,
    server: Server,
    **options: Unpack["NetOptions"],
) -> None:
    """Fill every learnable blob of a net and write them to a file.

    The file is the same whether this process computes or a server does, and appears when it is complete. With
    --stream caffe the weights are those that Caffe itself would have started from with this seed.

    With --weights the blobs of layers that a file of trained weights has are copied from there, as `caffe train
    --weights` does it, and the others are filled; the file stays here when a server fills. A layer that has another
    shape in the file is an error: give it another name in the net, or --ignore-shape.

    \b
    Examples:
      filler init train_val.prototxt -o weights.safetensors --seed 1701
      filler init train_val.prototxt -o weights.npz --server host1:50051,host2:50051
      filler init deploy.prototxt -o weights.safetensors --dtype bf16 --names torch
      filler init --solver solver.prototxt --stream caffe -o weights.caffemodel
      filler init finetune.prototxt --weights bvlc_reference_caffenet.caffemodel --dry-run
    """
    from caffe_filler import dtypes
    from filler_client import _finetune, _requests
    from filler_client.cli.connect import connect
    from filler_client.cli.sources import choose, net_sources, settle_seed
    from filler_client.cli.terminal import print_line, print_warnings, progress
    from filler_server.weights.formats import open_writer

    if (dry_run or ignore_shape) and not weights:
        raise click.UsageError("--dry-run and --ignore-shape go with --weights.")
    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output'.")
    sources = net_sources(net, solver, options)
    source, before = choose(sources, test_net)
    seed = settle_seed(sources, seed, solver)
    request = _requests.fill_net_request(
        source.data,
        seed=seed,
        dtype=dtype,
        stream=stream,
        data_draws=data_draws,
        before=[_requests.plan_request(other.data, **other.options) for other in before] if stream != "philox" else (),
        **source.options,
    )
    begun = time.perf_counter()
    with connect(server) as client, in_file(source.label):
        plan = client.plan(request.net)
        print_warnings(plan.warnings, source.label)
        opening = _finetune.open_merge(plan, weights, ignore_shape=ignore_shape) if weights else nullcontext(None)
        with opening as merge:
            if dry_run and merge is not None:
                _print_merge(merge.plan)
                sys.exit(1 if merge.plan.conflicts and not ignore_shape else 0)
            if merge is not None:
                merge.plan.check()
                for name in merge.plan.missing:
                    request.blobs.add(name=name)
            assert output is not None  # noqa: S101 - for the type checker
            tensors = _tensors(plan, merge, dtypes.parse(dtype), names)
            metadata = {"producer": "caffe-filler", "stream": stream, "seed": str(seed)}
            total = sum(tensor.nbytes for tensor in tensors)
            expected = [blob.name for layer in plan.layers for blob in layer.blobs]
            pieces = client.pieces(request, plan=plan) if merge is None or request.blobs else iter(())
            definitions = _definitions(request.net, output)
            with (
                open_writer(
                    output, tensors, metadata=metadata, net=definitions, max_shard_bytes=max_shard_size
                ) as writer,
                progress(total) as advance,
            ):
                for name, nbytes in _write(writer, expected, pieces, merge, dtypes.parse(dtype)):
                    advance(nbytes, name)
    if merge is None:
        _print(plan, output, total, time.perf_counter() - begun)
    else:
        _print_merge(merge.plan)
        print_line(f"{_rate(total, time.perf_counter() - begun)}: {output}")


def _write(
    writer: "Writer", expected: list[str], pieces: "Iterator[Piece]", merge: "Merge | None", dtype: Any
) -> Iterator[tuple[str, int]]:
    """Write every blob, copied or as the stream brings it; yield for each step the blob and the bytes written.

    Raises:
        DataLoss: the stream has another blob next.
    """
    from caffe_filler.errors import DataLoss
    from filler_server.weights.conversion import write_tensor

    copied = {} if merge is None else merge.tensors
    for name in expected:
        if name in copied:
            for nbytes, _ in write_tensor(writer, copied[name], dtype):
                yield name, nbytes
            continue
        for piece in pieces:
            if piece.header.name != name:
                raise DataLoss(f"blob '{name}' should follow. Received: '{piece.header.name}'")
            writer.write(piece.data)
            yield name, len(piece.data)
            if piece.last:
                break


def _tensors(plan: "filler_pb2.PlanNetResponse", merge: "Merge | None", dtype: Any, names: str) -> "list[Tensor]":
    """The tensors of the file, in the order of the stream; unknown shapes are the stream's to refuse."""
    from filler_server.weights.names import tensor_name
    from filler_server.weights.writer import Tensor

    copied = {} if merge is None else merge.tensors
    return [
        Tensor(
            tensor_name(names, blob=blob.name, layer_type=layer.type, blobs=len(layer.blobs)),
            copied[blob.name].shape if blob.name in copied else tuple(blob.shape.dim),
            dtype,
        )
        for layer in plan.layers
        for blob in layer.blobs
    ]


def _definitions(request: "filler_pb2.PlanNetRequest", output: Path) -> "NetParameter | None":
    """The layers of the net, which only a .caffemodel needs."""
    from filler_server.api import planning
    from filler_server.api.limits import UNLIMITED
    from filler_server.weights.conversion import net_definitions

    if output.suffix.lower() != ".caffemodel":
        return None
    return net_definitions(planning.plan(request, UNLIMITED))


def _print(plan: "filler_pb2.PlanNetResponse", output: Path, total: int, seconds: float) -> None:
    from filler_client.cli.blobs import dimensions, short_filler
    from filler_client.cli.terminal import number, print_line, print_table, shape

    rows = [
        [blob.name, shape(dimensions(blob.shape)), short_filler(blob), number(blob.std), number(blob.count)]
        for layer in plan.layers
        for blob in layer.blobs
    ]
    columns = [("blob", "left"), ("shape", "left"), ("filler", "left"), ("std", "right"), ("values", "right")]
    print_table(columns, rows)
    print_line()
    print_line(f"{number(plan.parameters)} parameters, {_rate(total, seconds)}: {output}")


def _print_merge(plan: "MergePlan") -> None:
    """Print what becomes of each blob, then of the files' other tensors, then why Caffe would refuse them."""
    from filler_client.cli.terminal import print_line, print_table, shape

    files = {blob.file for blob in plan.blobs if blob.file is not None} | {tensor.file for tensor in plan.unused}
    short = len({file.name for file in files}) == len(files)

    def called(file: Path) -> str:
        return file.name if short else str(file)

    rows = [
        [
            blob.name,
            shape(blob.shape),
            blob.action,
            "-" if blob.file is None else called(blob.file),
            "-" if blob.file_shape is None else shape(blob.file_shape),
        ]
        for blob in plan.blobs
    ]
    columns = [("blob", "left"), ("shape", "left"), ("what", "left"), ("from", "left"), ("shape there", "left")]
    print_table(columns, rows)
    print_line()
    for tensor in plan.unused:
        print_line(f"unused: {tensor.name} {shape(tensor.shape)} of {called(tensor.file)}")
    for conflict in plan.conflicts:
        print_line(f"{'filled' if plan.ignore_shape else 'conflict'}: {conflict}")
    actions = [blob.action for blob in plan.blobs]
    counts = ", ".join(f"{actions.count(action)} {action}" for action in ("copied", "reshaped", "filled", "conflict"))
    print_line(f"{len(actions)} blobs: {counts}; {len(plan.unused)} unused in the files")


def _rate(total: int, seconds: float) -> str:
    from filler_client.cli.terminal import size

    return f"{size(total)} in {seconds:.2f} s ({size(total / seconds)}/s)"

"""`filler init`: all learnable blobs of a net into a file, filled or copied from trained weights."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from caffe_filler.errors import FillerParameterError, NetError, PrototxtError, ShapeError, UnknownFiller
from filler_client.cli.options import (
    Paths,
    Server,
    data_draws_option,
    dtype_option,
    flat_paths,
    in_file,
    net_options,
    seed_option,
    server_option,
    stream_option,
)
from filler_client.cli.weights_net import (
    manifest_beside,
    manifest_option,
    max_shard_size_option,
    names_option,
    print_notes,
    reshape_option,
)

if TYPE_CHECKING:
    from filler_client import DataDraws, Names, NetOptions, NetPlan, Stream
    from filler_server.weights.merge import MergePlan


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
    type=Paths(),
    callback=flat_paths,
    help="Trained weights to copy from, by the names of layers, of any format; repeatable or with commas, as in Caffe; "
    "the last one counts.",
)
@click.option("--ignore-shape", is_flag=True, help="With --weights: fill blobs whose shapes differ, too.")
@reshape_option
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Write the file although layers must have blobs that are not known, or the net has none.",
)
@click.option("--dry-run", is_flag=True, help="With --weights: only print what would be copied and what filled.")
@seed_option
@stream_option
@data_draws_option
@dtype_option
@names_option
@max_shard_size_option
@manifest_option
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
    reshape: bool,
    allow_missing: bool,
    dry_run: bool,
    seed: int | None,
    stream: "Stream",
    data_draws: "DataDraws",
    dtype: str,
    names: "Names",
    max_shard_size: int | None,
    manifest: str | None,
    test_net: int | None,
    server: Server,
    **options: Unpack["NetOptions"],
) -> None:
    """Fill every learnable blob of a net and write them to a file.

    The file is the same whether this process computes or a server does, and appears when it is complete. With
    --stream caffe the weights are those that Caffe itself would have started from with this seed.

    With --weights the blobs of layers that a file of trained weights has are copied from there, as `caffe train
    --weights` does it, and the others are filled; the file stays here when a server fills. It may be the state_dict of
    a module that computes what the net does. A layer that has another shape in the file is an error: give it another
    name in the net, or --ignore-shape. The `weights` of a solver are taken in the same way, unless --weights is given.

    With --names torch the file is the state_dict of matching modules: Scale is folded into the BatchNorm before it,
    `transpose` is turned, LSTM has PyTorch's order of the gates.

    \b
    Examples:
      filler init train_val.prototxt -o weights.safetensors --seed 1701
      filler init train_val.prototxt -o weights.npz --server host1:50051,host2:50051
      filler init deploy.prototxt -o weights.safetensors --dtype bf16 --names torch
      filler init --solver solver.prototxt --stream caffe -o weights.caffemodel
      filler init finetune.prototxt --weights bvlc_reference_caffenet.caffemodel --dry-run
    """
    from caffe_filler import dtypes
    from filler_client import _requests
    from filler_client.cli.connect import connect
    from filler_client.cli.sources import choose, net_sources, settle_seed, settle_weights
    from filler_client.cli.terminal import print_line, print_warnings, progress, rate

    if (dry_run or ignore_shape or reshape) and not (weights or solver):
        raise click.UsageError("--dry-run, --ignore-shape and --reshape go with --weights.")
    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output'.")
    sources = net_sources(net, solver, options)
    weights = settle_weights(sources, weights, solver)
    if (dry_run or ignore_shape or reshape) and not weights:
        raise click.UsageError("--dry-run, --ignore-shape and --reshape go with weights; the solver names none.")
    source, before = choose(sources, test_net)
    seed = settle_seed(sources, seed, solver)
    begun = time.perf_counter()
    with connect(server) as client:
        with in_file(source.label):
            plan = client.plan_net(source.data, **source.options)
        print_warnings(plan.warnings, source.label)
        if dry_run:
            merge = client.plan_finetune(
                source.data, weights, ignore_shape=ignore_shape, reshape=reshape, **source.options
            )
            _print_merge(merge)
            sys.exit(1 if merge.conflicts and not ignore_shape else 0)
        assert output is not None  # noqa: S101 - for the type checker
        earlier = [_requests.plan_request(other.data, **other.options) for other in before]
        values = sum(blob.count or 0 for blob in plan.blobs)
        with progress(values * dtypes.parse(dtype).itemsize) as advance, _in_net(source.label):
            saved = client.save_net(
                source.data,
                output,
                weights=weights or None,
                names=names,
                ignore_shape=ignore_shape,
                reshape=reshape,
                allow_missing=allow_missing,
                max_shard_bytes=max_shard_size,
                manifest=manifest_beside(manifest, output),
                advance=advance,
                seed=seed,
                dtype=dtype,
                stream=stream,
                data_draws=data_draws,
                before=earlier if stream != "philox" else (),
                **source.options,
            )
    done = f"{rate(saved.nbytes, time.perf_counter() - begun)}: {saved.path}"
    if saved.merge is None:
        _print(plan, done)
    else:
        _print_merge(saved.merge)
        print_line(done)
    print_notes(saved.notes, output)
    for text in saved.warnings:
        print_line(f"{source.label}: warning: {text}", err=True)


@contextmanager
def _in_net(label: Path) -> Iterator[None]:
    """Name the net in an error that is about it, and not about the weights or the output."""
    try:
        yield
    except (NetError, PrototxtError, FillerParameterError, ShapeError, UnknownFiller) as error:
        raise error.in_file(label) from None


def _print(plan: "NetPlan", done: str) -> None:
    from caffe_filler.printable import counted, number_text, shape_text
    from filler_client.cli.terminal import print_line, print_table
    from filler_server.net.table import filler_cell

    rows = [
        [blob.name, shape_text(blob.shape), filler_cell(blob), number_text(blob.std), number_text(blob.count)]
        for layer in plan.layers
        for blob in layer.blobs
    ]
    columns = [("blob", "left"), ("shape", "left"), ("filler", "left"), ("std", "right"), ("values", "right")]
    print_table(columns, rows)
    print_line()
    print_line(f"{counted(plan.parameters, 'parameter')}, {done}")


def _print_merge(plan: "MergePlan") -> None:
    """Print what becomes of each blob, then of the files' other tensors, then why Caffe would refuse them."""
    from caffe_filler.printable import counted, shape_text
    from filler_client.cli.terminal import print_line, print_table

    files = {blob.file for blob in plan.blobs if blob.file is not None} | {tensor.file for tensor in plan.unused}
    short = len({file.name for file in files}) == len(files)

    def called(file: Path) -> str:
        return file.name if short else str(file)

    rows = [
        [
            blob.name,
            shape_text(blob.shape),
            blob.action,
            "-" if blob.file is None else called(blob.file),
            "-" if blob.file_shape is None else shape_text(blob.file_shape),
        ]
        for blob in plan.blobs
    ]
    columns = [("blob", "left"), ("shape", "left"), ("what", "left"), ("from", "left"), ("shape there", "left")]
    print_table(columns, rows)
    print_line()
    for tensor in plan.unused:
        print_line(f"unused: {tensor.name} {shape_text(tensor.shape)} of {called(tensor.file)}")
    for conflict in plan.conflicts:
        print_line(f"{'filled' if plan.ignore_shape else 'conflict'}: {conflict}")
    actions = [blob.action for blob in plan.blobs]
    counts = ", ".join(f"{actions.count(action)} {action}" for action in ("copied", "reshaped", "filled", "conflict"))
    print_line(f"{counted(len(actions), 'blob')}: {counts}; {len(plan.unused)} unused in the files")

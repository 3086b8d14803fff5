"""`filler init`: all learnable blobs of nets into files, filled or copied from trained weights."""

import glob
import importlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

import click

from caffe_filler.errors import FillerParameterError, NetError, PrototxtError, ShapeError, UnknownFiller
from filler_client.cli.options import (
    Paths,
    Server,
    data_draws_option,
    dtype_option,
    flat_paths,
    in_file,
    net_state_options,
    seed_option,
    server_option,
    stream_option,
)
from filler_client.cli.ray import check_ray, ray_module, ray_option
from filler_client.cli.weights_net import (
    finish_option,
    is_beside,
    manifest_beside,
    manifest_option,
    max_shard_size_option,
    names_option,
    part_option,
    print_notes,
    reshape_option,
)

_FILE: Any = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOST_WORKERS = 8

if TYPE_CHECKING:
    from filler_client import DataDraws, Names, NetOptions, NetPlan, SavedNet, Stream
    from filler_server.weights.merge import MergePlan


@click.command()
@click.argument("nets", metavar="[NET]...", nargs=-1, type=click.Path())
@net_state_options
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="File to write: .safetensors, .npz, .caffemodel, .h5 or .pt. Of several nets a folder, or a name in a folder "
    "such as 'out/{net}-{seed}.npz'.  [required, unless --dry-run]",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Work on so many files at once, of several nets.  [default: as there are CPUs, 8 at most]",
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
@part_option
@finish_option
@ray_option
@manifest_option
@click.option(
    "--test-net",
    type=click.IntRange(0),
    metavar="K",
    help="With --solver: fill its test net of this number, from 0, in place of its train net.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object a line and file: net, path, parameters, bytes, digest, seconds, skipped, error.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors and warnings.")
@server_option
@click.pass_context
def init(
    ctx: click.Context,
    nets: tuple[str, ...],
    solver: Path | None,
    output: str | None,
    jobs: int | None,
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
    part: tuple[int, int] | None,
    finish: bool,
    ray: str | None,
    manifest: str | None,
    test_net: int | None,
    as_json: bool,
    quiet: bool,
    server: Server,
    **options: Unpack["NetOptions"],
) -> None:
    """Fill every learnable blob of a net and write them to a file; of several nets, to a file each.

    The file is the same whether this process computes or a server does, and appears when it is complete. With
    --stream caffe the weights are those that Caffe itself would have started from with this seed.

    With --weights the blobs of layers that a file of trained weights has are copied from there, as `caffe train
    --weights` does it, and the others are filled; the file stays here when a server fills. It may be the state_dict of
    a module that computes what the net does. A layer that has another shape in the file is an error: give it another
    name in the net, or --ignore-shape. The `weights` of a solver are taken in the same way, unless --weights is given.

    With --names torch the file is the state_dict of matching modules: Scale is folded into the BatchNorm before it,
    `transpose` is turned, LSTM has PyTorch's order of the gates.

    Several nets are worked on side by side. A NET may also be a solver, a folder, a pattern in quotes, or a job file,
    which ends in .toml: tables [[job]] with `net` or `solver`, and the options above by their names, such as `seed`, a
    number or a list, `inputs`, a table of shapes, and `output`, a name like {net}-{seed}.safetensors; at its top
    stands what holds for all. After a failure the others go on, and the exit status is 1. What is complete already, as
    its manifest says, is left as it is.

    \b
    Examples:
      filler init train_val.prototxt -o weights.safetensors --seed 1701
      filler init train_val.prototxt -o weights.npz --server host1:50051,host2:50051
      filler init deploy.prototxt -o weights.safetensors --dtype bf16 --names torch
      filler init --solver solver.prototxt --stream caffe -o weights.caffemodel
      filler init finetune.prototxt --weights bvlc_reference_caffenet.caffemodel --dry-run
      filler init nets/*.prototxt jobs.toml -o out/ -j 4
      filler init train_val.prototxt -o weights.safetensors --max-shard-size 5GB --part 3/16
      filler init train_val.prototxt -o /shared/weights.safetensors --max-shard-size 5GB --ray
    """
    from caffe_filler import dtypes
    from caffe_filler.files import make_folder
    from filler_client import _requests
    from filler_client.cli.connect import connect_once
    from filler_client.cli.jobs import check_folder
    from filler_client.cli.outputs import check_outputs
    from filler_client.cli.sources import choose, net_sources, settle_seed, settle_weights
    from filler_client.cli.terminal import print_line, print_warnings, progress, rate
    from filler_server.weights.saving import format_of

    # A name that is empty, as that of a variable without a value, would be this folder.
    if not (output or dry_run):
        raise click.UsageError("Missing option '-o' / '--output'.")
    is_alone = bool(dry_run or part or finish or ray or (manifest is not None and not is_beside(manifest)))
    if dry_run and as_json:
        raise click.UsageError("--json tells of files that are written, and --dry-run writes none.")
    if output is not None and _is_batch(nets, output, told=(as_json or quiet) and not is_alone, jobs=jobs):
        if is_alone:
            raise click.UsageError("--dry-run, --part, --finish, --ray and a name of the --manifest go with one net.")
        _batch(
            [*nets, *([] if solver is None else [str(solver)])],
            output,
            {
                **options,
                "weights": weights,
                "ignore_shape": ignore_shape,
                "reshape": reshape,
                "allow_missing": allow_missing,
                "seed": seed,
                "stream": stream,
                "data_draws": data_draws,
                "dtype": dtype,
                "names": names,
                "max_shard_size": max_shard_size,
                "test_net": test_net,
            },
            server,
            explicit={
                name for name in ctx.params if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
            },
            workers=jobs,
            with_manifests=manifest is not None,
            as_json=as_json,
            quiet=quiet,
        )
    if (dry_run or ignore_shape or reshape) and not (weights or solver):
        raise click.UsageError("--dry-run, --ignore-shape and --reshape go with --weights.")
    argument = next(parameter for parameter in ctx.command.params if parameter.name == "nets")
    net = _FILE.convert(nets[0], argument, ctx) if nets else None
    target = None if output is None else Path(output)
    if target is not None:
        check_folder(target.parent)
    begun = time.perf_counter()
    with _failure_as_json(net or solver, target) if as_json else nullcontext():
        sources = net_sources(net, solver, options)
        weights = settle_weights(sources, weights, solver)
        if (dry_run or ignore_shape or reshape) and not weights:
            raise click.UsageError("--dry-run, --ignore-shape and --reshape go with weights; the solver names none.")
        if ray is not None:
            check_ray(weights, server, part=part, finish=finish)
        source, before = choose(sources, test_net)
        seed = settle_seed(sources, seed, solver)
        with connect_once(server) as client:
            with in_file(source.label):
                plan = client.plan_net(source.data, **source.options)
            print_warnings(plan.warnings, source.label)
            if dry_run:
                merge = client.plan_finetune(
                    source.data, weights, ignore_shape=ignore_shape, reshape=reshape, **source.options
                )
                if not quiet:
                    _print_merge(merge)
                sys.exit(1 if merge.conflicts and not ignore_shape else 0)
            assert target is not None  # noqa: S101 - for the type checker
            format_of(target)
            files = [path for path in (net, solver) if path is not None]
            check_outputs(
                [(source.label, target)], [*files, source.label, *(other.label for other in before), *weights]
            )
            if not finish:
                make_folder(target.parent)
            earlier = [_requests.plan_request(other.data, **other.options) for other in before]
            values = sum(blob.count or 0 for blob in plan.blobs)
            # What a cluster has written is read once more.
            nbytes = values * dtypes.parse(dtype).itemsize * (2 if ray else 1) // (part[1] if part else 1)
            common: Any = {
                "names": names,
                "allow_missing": allow_missing,
                "max_shard_bytes": max_shard_size,
                "manifest": manifest_beside(manifest, target),
                "seed": seed,
                "dtype": dtype,
                "stream": stream,
                "data_draws": data_draws,
                "before": earlier if stream != "philox" else (),
                **source.options,
            }
            with progress(nbytes, quiet=quiet) as advance, _in_net(source.label):
                if ray is not None:
                    saved = ray_module().save_net(source.data, target, address=ray, advance=advance, **common)
                else:
                    saved = client.save_net(
                        source.data,
                        target,
                        weights=weights or None,
                        ignore_shape=ignore_shape,
                        reshape=reshape,
                        part=part,
                        # A part that is written once more is one whose process ended early, or of which a file is
                        # damaged.
                        keep_complete=part is not None,
                        finish=finish,
                        advance=advance,
                        **common,
                    )
    seconds = time.perf_counter() - begun
    if as_json:
        from filler_client.cli.batch import Done, Output, tell
        from filler_client.cli.jobs import Job

        tell(Done(Job(source.label), target, seconds, saved, plan.parameters), Output(as_json, quiet))
    elif not quiet:
        _print_saved(plan, saved, f"{rate(saved.nbytes, seconds)}: {saved.path}", part, finish=finish)
    print_notes(saved.notes, target)
    for text in saved.warnings:
        print_line(f"{source.label}: warning: {text}", err=True)


@contextmanager
def _failure_as_json(net: Path | None, target: Path | None) -> Iterator[None]:
    """Print a failure as a batch does, and end the command."""
    from filler_client.cli.batch import FAILURES, Done, Output, tell, text_of
    from filler_client.cli.jobs import Job

    begun = time.perf_counter()
    try:
        yield
    except FAILURES as error:
        if net is None:
            raise
        done = Done(Job(net), target, time.perf_counter() - begun, error=text_of(error))
        tell(done, Output(as_json=True, quiet=False))
        sys.exit(1)


def _is_batch(nets: tuple[str, ...], output: str, *, told: bool, jobs: int | None) -> bool:
    """Whether it is about files in a folder rather than about one file."""
    one = len(nets) < 2 and not any(Path(net).is_dir() or Path(net).suffix.lower() == ".toml" for net in nets)
    patterns = any(glob.has_magic(net) and not Path(net).exists() for net in nets)
    folder = output.endswith(os.sep) or Path(output).is_dir() or "{" in Path(output).name
    return not one or patterns or folder or told or jobs is not None


def _batch(
    sources: Sequence[str],
    output: str,
    options: Mapping[str, Any],
    server: Server,
    *,
    explicit: Set[str],
    workers: int | None,
    with_manifests: bool,
    as_json: bool,
    quiet: bool,
) -> NoReturn:
    """Fill the nets of many sources, and end the command."""
    from filler_client.cli.batch import Output, run_batch
    from filler_client.cli.connect import connect
    from filler_client.cli.jobs import check_folder, check_template, expand
    from filler_server.weights.saving import ENDINGS

    if not sources:
        raise click.UsageError("give a net, or --solver and a solver: exactly one of the two.")
    path = Path(output)
    is_name = not (output.endswith(os.sep) or path.is_dir()) and path.suffix.lower() in ENDINGS
    folder, template = (path.parent, path.name) if is_name else (path, None)
    if template is not None:
        check_template(template)
    check_folder(folder)
    todo = expand(sources, options, template, explicit - {"output"})
    if server.address is None and len(todo) > 1:
        # Threads that import different parts of Numba first would wait for each other.
        with suppress(ModuleNotFoundError):
            importlib.import_module("filler_server.compiled")
    with connect(server) as client:
        succeeded = run_batch(
            client,
            todo,
            folder,
            workers=workers or min(os.cpu_count() or 1, _MOST_WORKERS),
            with_manifests=with_manifests,
            keep_complete=template is None or "{" in template or len(todo) > 1,
            output=Output(as_json, quiet),
        )
    sys.exit(0 if succeeded else 1)


@contextmanager
def _in_net(label: Path) -> Iterator[None]:
    """Name the net in an error that is about it, and not about the weights or the output."""
    try:
        yield
    except (NetError, PrototxtError, FillerParameterError, ShapeError, UnknownFiller) as error:
        raise error.in_file(label) from None


def _print_saved(plan: "NetPlan", saved: "SavedNet", done: str, part: tuple[int, int] | None, *, finish: bool) -> None:
    from caffe_filler.printable import counted
    from filler_client.cli.terminal import print_line

    if part is not None or finish:
        what = "checked" if part is None else f"part {part[0]} of {part[1]}"
        kept = ", complete already" if saved.is_kept else ""
        print_line(f"{what}: {counted(saved.tensors, 'tensor')}{kept}, {done}")
    elif saved.merge is None:
        _print(plan, done)
    else:
        _print_merge(saved.merge)
        print_line(done)


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

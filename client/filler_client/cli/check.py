"""`filler check`: blobs held against what their fillers promise."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

import click

from filler_client.cli.options import (
    Paths,
    Server,
    data_draws_option,
    dtype_option,
    flat_paths,
    in_file,
    is_given,
    net_options,
    seed_option,
    server_option,
    stream_option,
)
from filler_client.cli.weights_net import reshape_option

if TYPE_CHECKING:
    from filler_client import Checked, DataDraws, FinetuneOptions, NetOptions, Stream

_OF_FILLING = ("seed", "stream", "data_draws", "dtype")


@click.command()
@net_options
@click.option(
    "--weights",
    multiple=True,
    type=Paths(),
    callback=flat_paths,
    help="Weights to check, of any format, in place of those that the fillers make; repeatable or with commas, the "
    "last one that has a layer counts.",
)
@reshape_option
@click.option(
    "--trained",
    is_flag=True,
    help="Expect trained weights: fail where one is broken, or is still as it was drawn although it is learned.",
)
@click.option(
    "--significance",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.001,
    show_default=True,
    help="Probability that any blob which is as promised is said to have moved.",
)
@seed_option
@stream_option
@data_draws_option
@dtype_option
@click.option(
    "--test-net",
    type=click.IntRange(0),
    metavar="K",
    help="With --solver: check its test net of this number, from 0, in place of its train net.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; what is not known is null.")
@server_option
@click.pass_context
def check(
    context: click.Context,
    net: Path | None,
    solver: Path | None,
    weights: tuple[Path, ...],
    reshape: bool,
    trained: bool,
    significance: float,
    seed: int | None,
    stream: "Stream",
    data_draws: "DataDraws",
    dtype: str,
    test_net: int | None,
    as_json: bool,
    server: Server,
    **options: Unpack["NetOptions"],
) -> None:
    """Hold every learnable blob of a net against what its filler promises.

    The values are those that the fillers make, or those of --weights, or of NET itself where it is a .caffemodel.
    Without NET the net is the one that the file of weights describes; where it describes none, nothing is promised.

    Random values are tested for their mean, their variance and their distribution function (Kolmogorov and Smirnov's
    distance at the edges of a histogram; the distance over all values is at most larger by the `ks_error` of --json).
    Others are held against what defines them: constants and patterns one by one, positive_unitball by sums of rows,
    orthogonal by orthonormal rows or columns. The probabilities of all tests are corrected together by Holm's method.
    A blob is `initial` when it is as promised, else `moved`, or `broken` by NaN or infinite values; zero and repeated
    output channels are counted. Blobs that share their values are judged with their owner.

    Exits with 1 when a blob has moved, is broken, is missing or has another shape; with --trained when one is broken,
    missing or of another shape, or is drawn at random and learned and has not moved.

    \b
    Examples:
      filler check deploy.prototxt --seed 1701
      filler check --solver solver.prototxt --stream caffe
      filler check train_val.prototxt --weights snapshot_iter_0.caffemodel
      filler check --weights snapshot_iter_10000.caffemodel --trained
      filler check deploy.prototxt --weights net.safetensors --json | jq '.blobs[] | select(.state == "moved").name'
    """
    from filler_client import _check
    from filler_client.cli.connect import connect
    from filler_client.cli.terminal import print_json, print_warnings, progress

    filling = {"seed": seed, "stream": stream, "data_draws": data_draws, "dtype": dtype}
    explicit = {name: value for name, value in filling.items() if is_given(context, name)}
    expected: Any = "trained" if trained else "initial"
    label, described, known = _source(net, solver, weights, test_net, cast("FinetuneOptions", {**options, **explicit}))
    with in_file(label), connect(server) as client, progress(None) as advance:
        found = _check.check(
            described,
            weights or None,
            significance=significance,
            expected=expected,
            reshape=reshape,
            client=client,
            advance=advance,
            **known,
        )
    print_warnings(found.warnings, label)
    if as_json:
        print_json(found.as_dict(), indent=1)
    else:
        _print(found)
    sys.exit(0 if found.passed else 1)


def _source(
    net: Path | None, solver: Path | None, weights: tuple[Path, ...], test_net: int | None, options: "FinetuneOptions"
) -> "tuple[Path, Path | bytes | None, FinetuneOptions]":
    """Return what to call the net, the net, and the options on which it and its values depend."""
    from filler_client import _requests
    from filler_client.cli.sources import choose, net_sources, settle_seed
    from filler_client.cli.terminal import print_line

    if test_net is not None and solver is None:
        raise click.UsageError("--test-net goes with --solver.")
    if net is not None and solver is None:
        return net, net, options
    if solver is None:
        if not weights:
            raise click.UsageError("give a net, --weights and a file, or --solver and a solver.")
        return weights[0], None, options
    sources = net_sources(net, solver, options)
    source, before = choose(sources, test_net)
    settled: FinetuneOptions = {**options, **source.options}
    if not weights:
        for path in sources.weights:
            print_line(f"{solver}: note: the nets start from the weights in {path}: --weights checks them", err=True)
        settled["seed"] = settle_seed(sources, options.get("seed"), solver)
        if options.get("stream", "philox") != "philox":
            settled["before"] = [_requests.plan_request(other.data, **other.options) for other in before]
    return source.label, source.label if source.label.is_file() else source.data, settled


def _print(found: "Checked") -> None:
    from filler_client.cli.terminal import print_line, print_table
    from filler_server.diagnostics.statistics import table

    print_line(found.source)
    print_line()
    print_table(table.COLUMNS, table.rows(found))
    print_line()
    for line in table.closing(found):
        print_line(line)

"""`filler signal`: how large activations and gradients are in each layer before any training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from filler_client.cli.options import Server, in_file, net_options, server_option

if TYPE_CHECKING:
    from filler_client import NetOptions, SignalReport, Stream


@click.command()
@net_options
@click.option("--simulate", is_flag=True, help="Run the net forward and backward in PyTorch (extra torch).")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="With --simulate: how many seeds.")
@click.option(
    "--stream",
    type=click.Choice(["philox", "caffe", "caffe-1.56", "caffe-1.55"]),
    help="With --simulate: random numbers of the weights.  [default: caffe, for the weights that Caffe itself starts "
    "from with random_seed 1, 2, ...; philox where it has no such filler]",
)
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Number of samples, in place of the net's.")
@click.option("--mean", type=float, default=0.0, show_default=True, help="Mean of inputs that are plain numbers.")
@click.option("--std", type=float, default=1.0, show_default=True, help="Their standard deviation.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; what is not known is null.")
@server_option
def signal(
    net: Path | None,
    solver: Path | None,
    simulate: bool,
    seeds: int,
    stream: "Stream | None",
    batch: int | None,
    mean: float,
    std: float,
    as_json: bool,
    server: Server,
    **options: Unpack["NetOptions"],
) -> None:
    """Show how large activations and gradients are in each layer before any training.

    NET is prototxt, or binary as in a .caffemodel; with --solver it is the train net of the solver, or with --phase
    TEST its first test net. Nothing is run: a rule for each layer type says what becomes of mean, mean square and
    gradient, for random weights as the fillers give them, random inputs and labels. What a rule cannot know is ?, and
    a line below says why. Behind ± stands by how much single seeds differ from the mean square, which is the mean over
    all: narrow and deep nets scatter much. --simulate runs the net instead, for means over the seeds and their spread.

    The last two lines say whether the signal keeps its size, vanishes or explodes, forward and backward.

    \b
    Examples:
      filler signal train_val.prototxt --input data=64,3,227,227
      filler signal train_val.prototxt --batch 32 --simulate --seeds 3
      filler signal --solver solver.prototxt --json | jq '.values[].mean_square'
    """
    from filler_client.cli.connect import connect
    from filler_client.cli.sources import choose, net_sources
    from filler_client.cli.terminal import print_json, print_line

    sources = net_sources(net, solver, options, phase_chooses=True)
    is_test = solver is not None and options.get("phase") == "TEST"
    source, _ = choose(sources, 0 if is_test else None)
    settled: dict[str, Any] = {"batch": batch, "mean": mean, "std": std, "simulate": simulate, "seeds": seeds}
    if stream is not None:
        settled["stream"] = stream
    with connect(server) as client, in_file(source.label):
        report = client.signal(source.data, **source.options, **settled)
    if as_json:
        for note in report.notes:
            print_line(f"{source.label}: note: {note}", err=True)
        print_json(report.json(), indent=1)
        return
    _print(report)


def _print(report: "SignalReport") -> None:
    from filler_client.cli.terminal import print_line, print_table
    from filler_server.diagnostics.signal import report as tables

    print_line(report.title)
    print_line()
    print_table(*tables.value_table(report))
    if report.parameters:
        print_line()
        print_table(*tables.parameter_table(report))
    print_line()
    for line in (*report.notes, *report.verdict.sentences):
        print_line(line)

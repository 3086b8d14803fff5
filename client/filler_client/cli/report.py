"""`filler report`: a page about a net and its weights."""

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
    from filler_client import DataDraws, FinetuneOptions, NetOptions, Stream


@click.command()
@net_options
@click.option(
    "--weights",
    multiple=True,
    type=Paths(),
    callback=flat_paths,
    help="Weights to show, of any format, in place of those that the fillers make; repeatable or with commas, the last "
    "one that has a layer counts.",
)
@click.option(
    "--against",
    multiple=True,
    type=Paths(),
    callback=flat_paths,
    help="Other weights, shown side by side with these; as --weights.",
)
@reshape_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page.",
)
@click.option(
    "--png", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Write each plot to a file, too."
)
@click.option(
    "--tensorboard",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write histograms and signal for TensorBoard, too (extra tensorboard).",
)
@seed_option
@stream_option
@data_draws_option
@dtype_option
@server_option
@click.pass_context
def report(
    context: click.Context,
    net: Path | None,
    solver: Path | None,
    weights: tuple[Path, ...],
    against: tuple[Path, ...],
    reshape: bool,
    output: Path,
    png: Path | None,
    tensorboard: Path | None,
    seed: int | None,
    stream: "Stream",
    data_draws: "DataDraws",
    dtype: str,
    server: Server,
    **options: Unpack["NetOptions"],
) -> None:
    """Write a page about a net and its weights: layers, signal, distributions, images, findings and source.

    The weights are those that the fillers make, or those of --weights, or of NET itself where it is a .caffemodel.
    Without NET the net is the one that the file of weights describes. With --solver it is the train net of the solver.

    The page is one file of HTML that loads nothing. Histograms are over up to 65,536 values of a blob; captions say how
    many filters and values images have. Needs the extra report.

    \b
    Examples:
      filler report deploy.prototxt --seed 1701 -o report.html
      filler report --solver solver.prototxt --stream caffe
      filler report --weights trained.caffemodel --against finetuned.caffemodel
      filler report deploy.prototxt --png figures
      filler report deploy.prototxt --tensorboard runs && tensorboard --logdir runs
    """
    import filler_client
    from filler_client.cli.connect import connect
    from filler_client.cli.sources import choose, net_sources, settle_seed
    from filler_client.cli.terminal import print_line, print_warnings, progress

    if tensorboard is not None:
        _check_tensorboard()
    filling = {"seed": seed, "stream": stream, "data_draws": data_draws, "dtype": dtype}
    explicit: dict[str, Any] = {name: value for name, value in filling.items() if is_given(context, name)}
    settled = cast("FinetuneOptions", {**options, **explicit})
    described: Path | bytes | None = net
    label = net or (weights[0] if weights else output)
    if solver is not None:
        if options.get("phase") == "TEST":
            raise click.UsageError("--solver stands for its train net: give its test net as NET.")
        sources = net_sources(net, solver, options)
        source, _ = choose(sources, None)
        settled = {**settled, **source.options}
        label = source.label
        described = label if label.is_file() else source.data
        if not weights:
            for path in sources.weights:
                print_line(f"{solver}: note: the nets start from the weights in {path}: --weights shows them", err=True)
            settled["seed"] = settle_seed(sources, seed, solver)
    elif net is None and not weights:
        raise click.UsageError("give a net, --weights and a file, or --solver and a solver.")
    with in_file(label), connect(server) as client, progress(None) as advance:
        made = filler_client.report(
            described,
            weights or None,
            against=against or None,
            reshape=reshape,
            client=client,
            advance=advance,
            **settled,
        )
    print_warnings(made.warnings, label)
    made.save(output)
    print_line(str(output))
    if png is not None:
        print_line(f"{png}: {len(made.save_figures(png))} figures")
    if tensorboard is not None:
        for events in made.save_tensorboard(tensorboard):
            print_line(str(events))


def _check_tensorboard() -> None:
    """Raise an error before all work if TensorBoard's files cannot be written."""
    try:
        from filler_server.diagnostics.report.events import check_available
    except ModuleNotFoundError:
        # The report itself says what is missing.
        return
    check_available()

"""`filler plan`: the layers of a net with every shape and every learnable blob."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from filler_client.cli.options import (
    Server,
    check_lone,
    data_draws_option,
    in_file,
    net_options,
    seed_option,
    server_option,
)

if TYPE_CHECKING:
    from filler_client import DataDraws, NetOptions, NetPlan, Stream

_NUMBERS = ("fan_in", "fan_out", "std", "count")
"""Return the end of a blob's line."""


@click.command()
@net_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON; unknown dimensions are null.")
@click.option("--draws", is_flag=True, help="Also count what each layer draws from a Caffe stream, by drawing it.")
@seed_option
@click.option(
    "--stream",
    type=click.Choice(["caffe", "caffe-1.56", "caffe-1.55"]),
    default="caffe",
    show_default=True,
    help="With --draws: Caffe over Boost 1.64 and later, 1.56 to 1.63, up to 1.55.",
)
@data_draws_option
@server_option
def plan(
    net: Path | None,
    solver: Path | None,
    as_json: bool,
    draws: bool,
    seed: int | None,
    stream: "Stream",
    data_draws: "DataDraws",
    server: Server,
    **options: Unpack["NetOptions"],
) -> None:
    """Show what a net consists of: its layers, their shapes, and what fills each learnable blob.

    NET is prototxt, or binary as in a .caffemodel. Nothing is generated, unless --draws asks for it. With --solver it
    is all nets of the solver, its train net first; --json then prints a list.

    \b
    Examples:
      filler plan deploy.prototxt
      filler plan train_val.prototxt --phase TEST --input data=50,3,227,227
      filler plan train_val.prototxt --json | jq .parameters
      filler plan --solver solver.prototxt --draws
    """
    if not draws:
        check_lone(("seed", "stream", "data_draws"), "--draws")
    from filler_client import _requests
    from filler_client.cli.connect import connect
    from filler_client.cli.sources import net_sources, settle_seed
    from filler_client.cli.terminal import print_json, print_line

    sources = net_sources(net, solver, options)
    requests = [_requests.plan_request(source.data, **source.options) for source in sources.nets]
    if draws:
        seed = settle_seed(sources, seed, solver)
        requests = [
            _requests.with_draws(request, seed=seed, stream=stream, data_draws=data_draws, before=requests[:number])
            for number, request in enumerate(requests)
        ]
    answers = []
    with connect(server) as client:
        for source, request in zip(sources.nets, requests, strict=True):
            with in_file(source.label):
                answers.append(client.plan(request))
    for path in sources.weights:
        print_line(f"{solver}: note: the nets start from the weights in {path}", err=True)
    if as_json:
        plans = [answer.as_dict() for answer in answers]
        print_json(plans if solver else plans[0], indent=1)
        return
    for number, (source, answer) in enumerate(zip(sources.nets, answers, strict=True)):
        if number:
            print_line()
        _print(answer, source.label)


def _print(plan: "NetPlan", source: Path) -> None:
    from caffe_filler.printable import counted
    from filler_client.cli.terminal import print_line, print_table, print_warnings, size
    from filler_server.net import table

    print_line(table.summary(plan, source.name))
    print_line()
    print_table(table.columns(plan), table.rows(plan))
    drawn = [layer.draws for layer in plan.layers if layer.draws is not None]
    known = "" if len(drawn) == len(plan.layers) else "at least "
    drawn_in_all = f", {known}{counted(sum(drawn), 'draw')}" if plan.sequential else ""
    print_line()
    print_line(f"{counted(plan.parameters, 'parameter')}, {size(4 * plan.parameters)} as float32{drawn_in_all}")
    print_warnings(plan.warnings, source)

"""`filler plan`: the layers of a net with every shape and every learnable blob."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from filler_client.cli.options import in_file, net_options, server_option

if TYPE_CHECKING:
    from caffe_filler.v1 import filler_pb2
    from filler_client import NetOptions

_NUMBERS = ("fan_in", "fan_out", "std", "count")
"""What a blob's line ends in."""


@click.command()
@net_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON; unknown dimensions are null.")
@server_option
def plan(net: Path, as_json: bool, server: str | None, **options: Unpack["NetOptions"]) -> None:
    """Show what a net consists of: its layers, their shapes, and what fills each learnable blob.

    NET is prototxt, or binary as in a .caffemodel. Nothing is generated.

    \b
    Examples:
      filler plan deploy.prototxt
      filler plan train_val.prototxt --phase TEST --input data=50,3,227,227
      filler plan train_val.prototxt --json | jq .parameters
    """
    from filler_client.cli.connect import connect

    with connect(server) as client, in_file(net):
        answer = client.plan_net(net, **options)
    if as_json:
        import json

        click.echo(json.dumps(as_dict(answer), indent=1, ensure_ascii=False))
        return
    _print(answer, net)


def as_dict(plan: "filler_pb2.PlanNetResponse") -> dict[str, Any]:
    """Return a plan as plain values: what `--json` prints."""
    from caffe_filler.caffe.caffe_pb2 import Phase
    from filler_client.cli.blobs import dimensions

    return {
        "name": plan.name,
        "phase": Phase.Name(plan.state.phase),
        "layers": [
            {
                "name": layer.name,
                "type": layer.type,
                "bottoms": list(layer.bottoms),
                "tops": [{"name": top.name, "shape": dimensions(top.shape)} for top in layer.tops],
                "blobs": [_blob(blob) for blob in layer.blobs],
            }
            for layer in plan.layers
        ],
        "warnings": [
            {
                "message": warning.message,
                "line": warning.line or None,
                "column": warning.column or None,
                "layer": warning.layer or None,
            }
            for warning in plan.warnings
        ],
        "parameters": plan.parameters,
    }


def _blob(blob: "filler_pb2.BlobPlan") -> dict[str, Any]:
    from filler_client.cli.blobs import dimensions, filler_text

    def known(field: str) -> Any:
        return getattr(blob, field) if blob.HasField(field) else None

    return {
        "name": blob.name,
        "shape": dimensions(blob.shape),
        "filler": None if blob.given else filler_text(blob),
        "owner": blob.owner or None,
        **{field: known(field) for field in ("count", "fan_in", "fan_out", "mean", "std")},
    }


def _print(plan: "filler_pb2.PlanNetResponse", source: Path) -> None:
    from caffe_filler.caffe.caffe_pb2 import Phase
    from filler_client.cli.blobs import dimensions, short_filler
    from filler_client.cli.terminal import number, print_table, print_warnings, shape, size

    state = [Phase.Name(plan.state.phase), *(f"stage {stage}" for stage in plan.state.stage)]
    click.echo(f"{plan.name or source.name} ({', '.join(state)})\n")
    rows = []
    for layer in plan.layers:
        tops = ", ".join(f"{top.name} {shape(dimensions(top.shape))}" for top in layer.tops)
        first = [layer.name, layer.type, tops]
        for blob in layer.blobs:
            filled = short_filler(blob)
            rows.append(
                [
                    *first,
                    blob.name,
                    shape(dimensions(blob.shape)),
                    f"= {blob.owner}" if blob.owner else filled,
                    *(number(getattr(blob, field)) if blob.HasField(field) else "" for field in _NUMBERS),
                ]
            )
            first = ["", "", ""]
        if not layer.blobs:
            rows.append([*first, "", "", "", *[""] * len(_NUMBERS)])
    titles = ("layer", "type", "tops", "blob", "shape", "filler")
    print_table(
        [*((title, "left") for title in titles), *((name.replace("_", " "), "right") for name in _NUMBERS)], rows
    )
    click.echo(f"\n{number(plan.parameters)} parameters, {size(4 * plan.parameters)} as float32")
    print_warnings(plan.warnings, source)

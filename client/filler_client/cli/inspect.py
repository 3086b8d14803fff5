"""`filler inspect`: what is in a file of weights."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from filler_server.weights.statistics import Statistics
    from filler_server.weights.stored import StoredTensor, WeightsFile


@click.command()
@click.argument("weights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--list", "only_list", is_flag=True, help="Names, shapes and dtypes only: no value is read.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(weights: Path, only_list: bool, as_json: bool) -> None:
    """Print the tensors of a file of weights: shape, dtype, mean, std, min, max, zeros, SHA-256.

    WEIGHTS is a file of any format that `filler convert` reads, whatever it is called. The figures are over the finite
    values. The SHA-256 is that of the values as little-endian bytes, whatever the format: equal tensors have equal
    ones in all.

    \b
    Examples:
      filler inspect bvlc_reference_caffenet.caffemodel
      filler inspect --list VGG_ILSVRC_16_layers.caffemodel
      filler inspect snapshot.caffemodel.h5 --json | jq -r '.tensors[] | select(.nonfinite > 0).name'
    """
    from filler_client.cli.terminal import print_json, print_warnings, progress
    from filler_server.weights.opening import open_weights
    from filler_server.weights.statistics import statistics

    with open_weights(weights) as file:
        print_warnings(file.problems, weights)
        with progress(0 if only_list else file.nbytes) as advance:
            found = [None if only_list else statistics(tensor, advance) for tensor in file.tensors]
        if as_json:
            print_json(_document(file, found), indent=2)
        else:
            _print(file, found)


def _document(file: "WeightsFile", found: "list[Statistics | None]") -> dict[str, Any]:
    from filler_server.weights.conversion import layer_types

    types = {} if file.net is None else layer_types(file.net)
    return {
        "path": str(file.path),
        "format": file.format,
        "net": file.net.name if file.net is not None else None,
        "metadata": dict(file.metadata),
        "tensors": [
            {
                "name": tensor.name,
                "layer": tensor.layer,
                "index": tensor.index,
                "type": types.get(tensor.layer or ""),
                "shape": list(tensor.shape),
                "legacy_shape": tensor.legacy,
                "dtype": tensor.dtype.name,
                "count": tensor.count,
                "bytes": tensor.nbytes,
                **({} if figures is None else dataclasses.asdict(figures)),
            }
            for tensor, figures in zip(file.tensors, found, strict=True)
        ],
        "problems": [str(problem) for problem in file.problems],
    }


def _print(file: "WeightsFile", found: "list[Statistics | None]") -> None:
    from filler_client.cli.terminal import number, print_line, print_table, shape, size
    from filler_server.weights.conversion import layer_types

    types = {} if file.net is None else layer_types(file.net)
    columns = [("tensor", "left"), ("type", "left"), ("shape", "left"), ("dtype", "left"), ("values", "right")]
    figures = ("mean", "std", "min", "max", "zeros", "sha256")
    listed = [figure is None for figure in found]
    if not all(listed):
        columns += [(title, "left" if title == "sha256" else "right") for title in figures]

    def cells(tensor: "StoredTensor", figure: "Statistics | None") -> list[str]:
        row = [tensor.name, types.get(tensor.layer or "", "-"), shape(tensor.shape), tensor.dtype.name]
        row.append(number(tensor.count))
        if figure is not None:
            values = (figure.mean, figure.std, figure.minimum, figure.maximum)
            row += ["-" if value is None else number(value) for value in values]
            row += [number(figure.zeros), figure.sha256[:12]]
        return row

    print_table(columns, [cells(*pair) for pair in zip(file.tensors, found, strict=True)])
    count = sum(tensor.count for tensor in file.tensors)
    called = f" '{file.net.name}'" if file.net is not None and file.net.name else ""
    print_line()
    print_line(f"{file.format}{called}: {len(found)} tensors, {number(count)} values, {size(file.nbytes)}")
    broken = [tensor.name for tensor, figure in zip(file.tensors, found, strict=True) if figure and figure.nonfinite]
    if broken:
        print_line(f"{file.path}: infinite or no numbers in {', '.join(broken)}", err=True)

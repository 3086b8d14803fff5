"""`filler inspect`: what is in a file of weights."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from filler_client import Inspected
    from filler_server.tensors import Tensor
    from filler_server.weights.statistics import Statistics


@click.command()
@click.argument("weights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--list", "only_list", is_flag=True, help="Names, shapes and dtypes only: no value is read.")
@click.option("--net", is_flag=True, help="Print the net that the file describes as prototxt instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(weights: Path, only_list: bool, net: bool, as_json: bool) -> None:
    """Print the tensors of a file of weights: shape, dtype, mean, std, min, max, zeros, SHA-256.

    WEIGHTS is a file of any format that `filler convert` reads, whatever it is called. The figures are over the finite
    values. The SHA-256 is that of the values as little-endian bytes, whatever the format: equal tensors have equal
    ones in all.

    \b
    Examples:
      filler inspect bvlc_reference_caffenet.caffemodel
      filler inspect --list VGG_ILSVRC_16_layers.caffemodel
      filler inspect --net snapshot.caffemodel > net.prototxt
      filler inspect snapshot.caffemodel.h5 --json | jq -r '.tensors[] | select(.nonfinite > 0).name'
    """
    if net and (only_list or as_json):
        raise click.UsageError("--net prints prototxt, without --list and --json.")
    import filler_client
    from filler_client.cli.terminal import print_json, print_text, print_warnings, progress

    with filler_client.open_weights(weights) as file:
        print_warnings(file.problems, weights)
        if net:
            if file.net is None:
                raise click.ClickException(f"{weights}: a file of the format {file.format} does not describe its net")
            print_text(file.prototxt)
            return
        with progress(0 if only_list else file.nbytes) as advance:
            found = filler_client.inspect(file, values=not only_list, advance=advance)
        if as_json:
            print_json(_document(found), indent=2)
        else:
            _print(found)


def _rows(inspected: "Inspected") -> "list[tuple[Tensor, Statistics | None]]":
    figures = inspected.statistics or (None,) * len(inspected.file.tensors)
    return list(zip(inspected.file.tensors, figures, strict=True))


def _document(inspected: "Inspected") -> dict[str, Any]:
    file = inspected.file
    return {
        "path": str(file.path),
        "format": file.format,
        "net": file.net.name if file.net is not None else None,
        "metadata": dict(file.metadata),
        "tensors": [
            {
                "name": tensor.name,
                "layer": file.layer_of(tensor),
                "index": file.index_of(tensor),
                "type": file.types.get(file.layer_of(tensor) or ""),
                "shape": list(tensor.shape),
                "legacy_shape": tensor.legacy,
                "dtype": tensor.dtype.name,
                "count": tensor.count,
                "bytes": tensor.nbytes,
                **({} if figures is None else dataclasses.asdict(figures)),
            }
            for tensor, figures in _rows(inspected)
        ],
        "problems": [str(problem) for problem in file.problems],
    }


def _print(inspected: "Inspected") -> None:
    from caffe_filler.printable import counted, number_text, shape_text
    from filler_client.cli.terminal import print_line, print_table, size

    file, found = inspected.file, _rows(inspected)
    columns = [("tensor", "left"), ("type", "left"), ("shape", "left"), ("dtype", "left"), ("values", "right")]
    if inspected.statistics:
        titles = ("mean", "std", "min", "max", "zeros", "sha256")
        columns += [(title, "left" if title == "sha256" else "right") for title in titles]

    def cells(tensor: "Tensor", figure: "Statistics | None") -> list[str]:
        row = [
            tensor.name,
            file.types.get(file.layer_of(tensor) or "", "-"),
            shape_text(tensor.shape),
            tensor.dtype.name,
        ]
        row.append(number_text(tensor.count))
        if figure is not None:
            values = (figure.mean, figure.std, figure.minimum, figure.maximum)
            row += ["-" if value is None else number_text(value) for value in values]
            row += [number_text(figure.zeros), figure.sha256[:12]]
        return row

    print_table(columns, [cells(*pair) for pair in found])
    count = sum(tensor.count for tensor in file.tensors)
    called = f" '{file.net.name}'" if file.net is not None and file.net.name else ""
    print_line()
    tensors = counted(len(found), "tensor")
    print_line(f"{file.format}{called}: {tensors}, {counted(count, 'value')}, {size(file.nbytes)}")
    broken = [tensor.name for tensor, figure in found if figure and figure.nonfinite]
    if broken:
        print_line(f"{file.path}: infinite or no numbers in {', '.join(broken)}", err=True)

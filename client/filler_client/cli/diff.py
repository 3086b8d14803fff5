"""`filler diff`: how two files of weights differ."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from filler_server.tensors import Tensor
    from filler_server.weights.comparison import Comparison

_TROUBLE = 2


@click.command()
@click.argument("first", metavar="A", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("second", metavar="B", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--atol", type=click.FloatRange(min=0), default=0.0, help="Ignore absolute differences up to this.")
@click.option("--all", "show_all", is_flag=True, help="Print equal tensors too.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status tells.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(first: Path, second: Path, atol: float, show_all: bool, quiet: bool, as_json: bool) -> None:
    """Compare two files of weights tensor by tensor, of any formats.

    Exits with 0 if all are equal, 1 if any differs, has another shape or is missing in one file, 2 if a file cannot be
    read. Values are compared as numbers, whatever their dtypes.

    \b
    Examples:
      filler diff snapshot_iter_1000.caffemodel snapshot_iter_2000.caffemodel
      filler diff lenet.caffemodel lenet.safetensors --quiet && echo the same
      filler diff weights.npz weights_f16.npz --atol 1e-3
    """
    if quiet and (as_json or show_all):
        raise click.UsageError("--quiet prints nothing, and --json and --all say what to print.")
    import filler_client
    from caffe_filler.errors import FillerError
    from filler_client.cli.terminal import print_json, print_line, progress

    try:
        with filler_client.open_weights(first) as one, progress(one.nbytes) as advance:
            found = filler_client.diff(one, second, atol=atol, advance=advance)
    except (FillerError, OSError) as error:
        print_line(f"filler: {error}", err=True)
        sys.exit(_TROUBLE)
    if as_json:
        print_json([_entry(comparison) for comparison in found], indent=2)
    elif not quiet:
        _print(found, show_all=show_all)
    sys.exit(0 if all(comparison.verdict == "equal" for comparison in found) else 1)


def _entry(comparison: "Comparison") -> dict[str, Any]:
    largest = comparison.max_difference
    return {
        "name": comparison.name,
        "verdict": comparison.verdict,
        "a": _tensor(comparison.first),
        "b": _tensor(comparison.second),
        "different": comparison.different,
        # JSON has no infinity.
        "max_difference": "infinite" if largest is not None and math.isinf(largest) else largest,
    }


def _tensor(tensor: "Tensor | None") -> dict[str, Any] | None:
    return None if tensor is None else {"shape": list(tensor.shape), "dtype": tensor.dtype.name}


def _print(found: "list[Comparison]", *, show_all: bool) -> None:
    from caffe_filler.printable import counted, number_text, shape_text
    from filler_client.cli.terminal import print_line, print_table

    def side(tensor: "Tensor | None") -> str:
        return "-" if tensor is None else f"{shape_text(tensor.shape)} {tensor.dtype.name}"

    rows = [
        [
            comparison.name,
            comparison.verdict,
            side(comparison.first),
            side(comparison.second),
            number_text(comparison.different),
            "-" if comparison.max_difference is None else number_text(comparison.max_difference),
        ]
        for comparison in found
        if show_all or comparison.verdict != "equal"
    ]
    columns = [("tensor", "left"), ("verdict", "left"), ("A", "left"), ("B", "left")]
    if rows:
        print_table([*columns, ("different", "right"), ("max abs difference", "right")], rows)
        print_line()
    equal = sum(comparison.verdict == "equal" for comparison in found)
    print_line(f"{equal} of {counted(len(found), 'tensor')} {'is' if equal == 1 else 'are'} equal")

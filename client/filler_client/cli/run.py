"""`filler run`: the tops of a net."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from filler_client.cli.model_options import Given, model_options, model_source, print_model_notes
from filler_client.cli.options import NamedShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from filler_client._models import ModelOptions


class _Input(NamedShape):
    """A name and a file with values, or a shape: data=cat.npy, data=1,3,227,227."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return name and path, or name and dimensions."""
        if isinstance(value, tuple):
            return value
        blob, _, rest = value.rpartition("=")
        if blob and all(part.strip() == "?" or part.strip().isdecimal() for part in rest.split(",")):
            return super().convert(value, param, ctx)
        blob, separator, path = value.partition("=")
        if not (separator and blob and path):
            self.fail(f"an input is NAME=FILE.npy or NAME=D,D,... Received: {value}", param, ctx)
        return blob, Path(path)


def _as_mapping(ctx: click.Context, param: click.Parameter, value: Sequence[Any]) -> dict[str, Any]:
    return dict(value)


@click.command()
@model_options
@click.option(
    "--input",
    "inputs",
    multiple=True,
    type=_Input(),
    metavar="NAME=FILE.npy|NAME=D,D,..",
    callback=_as_mapping,
    help="Values of an input, or its shape, with ? for what the net knows; repeatable. Values tell the shape, too.",
)
@click.option(
    "--random",
    type=click.IntRange(0, 2**64 - 1),
    metavar="SEED",
    help="Draw inputs without values: standard normal, or among the labels, indices and regions that there are.",
)
@click.option(
    "--dtype", type=click.Choice(["f32", "f64"]), default="f32", show_default=True, help="Type to compute in."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write the tops to: .npz, .safetensors, or .npy for one.  [default: only figures are printed]",
)
def run(
    inputs: dict[str, Any],
    random: int | None,
    dtype: str,
    output: Path | None,
    **given: Unpack[Given],
) -> None:
    """Compute the tops of a net, as Caffe defines its layers.

    It is a reference in NumPy, plain rather than fast: what exported models are compared with. The weights may be a
    .caffemodel of any age, Caffe's HDF5, .npz, .safetensors, a file of PyTorch; a net without learnable blobs needs
    none. Tops are named as the blobs are; one that layers change in place has its last value, and an earlier one is
    called BLOB@LAYER. Data layers are inputs. Layers that cannot be computed are all named, with the --top that stops
    before them.

    With --deploy a net for training predicts: SoftmaxWithLoss gives way to a Softmax called prob, other losses to what
    they judge, and labels and accuracies go.

    \b
    Examples:
      filler run deploy.prototxt --weights net.caffemodel --input data=cat.npy -o tops.npz
      filler run deploy.prototxt --weights net.caffemodel --input data=cat.npy --top prob --top pool5 -o tops.npz
      filler run train_val.prototxt --weights net.caffemodel --deploy --input data=1,3,227,227 --random 1
      filler run lenet_train_test.prototxt --weights lenet.caffemodel --input data=x.npy --input label=y.npy
      filler run --solver solver.prototxt --weights snapshot_iter_1000.caffemodel --input data=x.npy --input label=y.npy
    """
    import filler_client
    from filler_client._models import open_model
    from filler_client._run import compute, read_array, split_inputs
    from filler_client.cli.terminal import print_line, rate

    begun = time.perf_counter()
    chosen = model_source(**given)
    values = {name: read_array(name, value) if isinstance(value, Path) else value for name, value in inputs.items()}
    arrays, shapes = split_inputs(values)
    options: ModelOptions = {**chosen.options, "inputs": shapes}
    with open_model(chosen.net, chosen.weights, **options) as model:
        print_model_notes(model, chosen.source.label)
        tops = compute(model, arrays, dtype=dtype, random=random)
    _print(tops)
    if output is not None:
        saved = filler_client.save_weights(tops, output)
        print_line()
        print_line(f"{rate(saved.nbytes, time.perf_counter() - begun)}: {saved.path}")


def _print(tops: "dict[str, NDArray[Any]]") -> None:
    """Print shape and figures of each top."""
    import numpy as np

    from caffe_filler.printable import number_text, shape_text
    from filler_client.cli.terminal import print_table

    rows = []
    for name, values in tops.items():
        with np.errstate(all="ignore"):
            wide = values.astype(np.float64)
            figures = [wide.mean(), wide.std(), wide.min(), wide.max()] if wide.size else [None] * 4
        rows.append([name, shape_text(values.shape), *(number_text(figure) for figure in figures)])
    print_table(
        [("top", "left"), ("shape", "left"), *((name, "right") for name in ("mean", "std", "min", "max"))], rows
    )

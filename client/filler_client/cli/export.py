"""`filler export`: a net as a model of another framework."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from filler_client.cli.model_options import Given, model_options, model_source
from filler_client.cli.options import DType, input_option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from filler_client._models import ModelOptions
    from filler_client._requests import PartialShape
    from filler_server.models.verification import Difference, Verification


class Mean(click.ParamType):  # type: ignore[type-arg]
    """A file with a mean image, or numbers: one, or one for each channel in the order of the net."""

    name = "FILE|B,G,R"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or the numbers."""
        if not isinstance(value, str):
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            if not Path(value).is_file():
                self.fail(f"a mean is a file or numbers with commas between them. Received: {value}", param, ctx)
            return Path(value)


@click.command()
@model_options
@input_option
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, whose ending tells the format: .onnx or .py.",
)
@click.option(
    "--fully-convolutional",
    is_flag=True,
    help="Make convolutions of inner products over maps, for larger images: predictions are maps then.",
)
@click.option(
    "--fold-batch-norm",
    is_flag=True,
    help="Make BatchNorm, Scale and Bias part of the convolution or inner product before them.",
)
@click.option(
    "--preprocess",
    is_flag=True,
    help="Let the model take images of red, green and blue, 0 to 255, and prepare them as the net's transform_param "
    "says, or the next three options, each of which implies it.",
)
@click.option(
    "--mean",
    type=Mean(),
    help="What to subtract: a mean image (.binaryproto, .npy), or a number for each channel, in the net's order.",
)
@click.option("--scale", type=float, metavar="X", help="What to multiply the difference by.")
@click.option(
    "--bgr/--rgb", default=None, help="Order of channels that the net wants.  [default: as the net says, else rgb]"
)
@click.option(
    "--dtype",
    type=DType(),
    # What it refuses besides is told with the reason.
    metavar="[f32|f16|bf16]",
    help="Type of the weights in the file: f32, f16 or bf16.  [default: f32, or f16 and bf16 as they are]",
)
@click.option("--dynamic-batch", is_flag=True, help="Write a model for any batch: the first axis of the inputs.")
@click.option(
    "--external-data/--no-external-data",
    default=None,
    help="Put the weights into a file of their own beside it.  [default: where one file cannot hold them]",
)
@click.option(
    "--verify/--no-verify",
    default=None,
    help="Run the model on random inputs and compare every top with the reference evaluator, and the net in OpenCV 4, "
    "where that is installed and reads it.  [default: where the library is installed that runs the model]",
)
@click.option(
    "--certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the result as JSON with the SHA-256 of all files; implies --verify.",
)
def export(
    inputs: "Mapping[str, PartialShape]",
    output: Path,
    fully_convolutional: bool,
    fold_batch_norm: bool,
    preprocess: bool,
    mean: Any,
    scale: float | None,
    bgr: bool | None,
    dtype: str | None,
    dynamic_batch: bool,
    external_data: bool | None,
    verify: bool | None,
    certificate: Path | None,
    **given: Unpack[Given],
) -> None:
    """Write a net with its weights as a model that computes the same elsewhere.

    The weights may be a .caffemodel of any age, Caffe's HDF5, .npz, .safetensors, a file of PyTorch; a net without
    learnable blobs needs none. Inputs and outputs are named as the blobs are: data layers are inputs, and the outputs
    are the tops that no layer reads, or those of --top. All layers that the format has no counterpart of are named,
    with the --top that stops before them; nothing is approximated.

    .onnx has standard operators of one opset alone, and where the net comes from in its metadata. .py is a module of
    PyTorch that a person can read, with its weights in a .safetensors beside it; it needs PyTorch alone, and what
    --phase TRAIN makes of it can be trained further.

    \b
    Examples:
      filler export deploy.prototxt --weights net.caffemodel -o net.onnx
      filler export train_val.prototxt --weights net.caffemodel --deploy --input data=1,3,227,227 -o net.onnx
      filler export deploy.prototxt --weights net.caffemodel -o net.py
      filler export deploy.prototxt --weights net.caffemodel --top pool5 --dynamic-batch -o features.onnx
      filler export deploy.prototxt --weights net.caffemodel --fold-batch-norm --dtype f16 -o small.onnx
      filler export deploy.prototxt --weights net.caffemodel --fully-convolutional --input data=1,3,451,451 -o map.onnx
      filler export deploy.prototxt --weights net.caffemodel --mean 104,117,123 --bgr -o from_images.onnx
    """
    import filler_client
    from caffe_filler.printable import shape_text
    from filler_client.cli.terminal import print_line, print_warnings, rate
    from filler_client.cli.weights_net import print_notes

    chosen = model_source(**given)
    options: ModelOptions = {**chosen.options, "inputs": inputs, "fully_convolutional": fully_convolutional}
    try:
        exported = filler_client.export(
            chosen.net,
            output,
            chosen.weights,
            fold_batch_norm=fold_batch_norm,
            preprocess=preprocess,
            mean=mean,
            scale=scale,
            bgr=bgr,
            dtype=dtype,
            dynamic_batch=dynamic_batch,
            external_data=external_data,
            verify=verify,
            certificate=certificate,
            **options,
        )
    except filler_client.VerificationError as error:
        _print_verifications(error.verifications)
        raise
    _print_verifications(exported.verifications)
    print_warnings(exported.warnings, chosen.source.label)
    print_notes(exported.notes, output)
    ends = (
        ", ".join(f"{name} {shape_text(shape)}" for name, shape in values.items())
        for values in (exported.inputs, exported.outputs)
    )
    print_line(f"{exported.format}: {' -> '.join(ends)}")
    print_line(f"{rate(exported.nbytes, exported.seconds)}: {exported.path}")


def _print_verifications(verifications: "Sequence[Verification]") -> None:
    """Print the errors of every top in the runtimes with the same inputs, and a line for each other verification."""
    from filler_client.cli.terminal import print_line, print_table

    if not verifications:
        return
    first = [one for one in verifications if one.inputs == verifications[0].inputs]
    columns = [("layer", "left"), ("top", "left"), ("largest error", "right"), ("relative", "right")]
    columns += [(one.runtime.partition(" ")[0], "right") for one in first[1:]]
    others = [{difference.value: difference for difference in one.differences} for one in first[1:]]
    rows = []
    for difference in first[0].differences:
        found = [other.get(difference.value) for other in others]
        seconds = ["" if other is None else _relative(other, first[0].tolerance) for other in found]
        row = [difference.layer, difference.value, f"{difference.absolute:.3g}"]
        rows.append([*row, _relative(difference, first[0].tolerance), *seconds])
    print_table(columns, rows)
    print_line()
    for one in verifications:
        print_line(_summary(one))


def _relative(difference: "Difference", tolerance: float) -> str:
    """Return the relative error, marked where it is too large or only that of the layers before."""
    mark = "" if difference.relative <= tolerance else " alone ok" if difference.passes(tolerance) else " WRONG"
    return f"{difference.relative:.3g}{mark}"


def _summary(verification: "Verification") -> str:
    from caffe_filler.printable import counted, shape_text

    inputs = ", ".join(f"{name} {shape_text(shape)}" for name, shape in verification.inputs.items())
    worst = verification.worst
    if worst is None:
        return f"{verification.runtime} on {inputs}: nothing to compare"
    failures = len(verification.failures)
    verdict = f"{counted(failures, 'top')} wrong" if failures else "all within"
    return (
        f"{verification.runtime} on {inputs}: {counted(len(verification.differences), 'top')}, {verdict} "
        f"{verification.tolerance:g} of the largest value; worst {worst.relative:.3g} ('{worst.value}')"
    )

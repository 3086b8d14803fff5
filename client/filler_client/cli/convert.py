"""`filler convert`: a file of weights to another format."""

import time
from pathlib import Path
from typing import Any

import click

from filler_client.cli.options import DTYPES
from filler_client.cli.weights_net import max_shard_size_option, read_net_of_weights, weights_net_options


@click.command()
@click.argument("source", metavar="IN", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--names",
    type=click.Choice(["caffe", "torch"]),
    default="caffe",
    show_default=True,
    help="Names of the tensors: <layer>/<blob index>, or <layer>.weight, .bias, .running_mean, .running_var.",
)
@click.option("--dtype", type=click.Choice(DTYPES), help="Data type of the values.  [default: as they are]")
@max_shard_size_option
@weights_net_options
def convert(
    source: Path,
    target: Path,
    names: str,
    dtype: str | None,
    max_shard_size: int | None,
    net: Path | None,
    **options: Any,
) -> None:
    """Write the weights of IN to OUT in the format of OUT's ending.

    IN is a .caffemodel of any age, a .binaryproto, Caffe's HDF5, .npz, .npy, .safetensors or its index, or a file of
    PyTorch, also compressed by gzip; it is known by its content. OUT ends in .caffemodel, .h5, .npz, .npy,
    .safetensors, .pt or .binaryproto. Memory does not grow with the file, and OUT appears when it is complete.

    A .caffemodel describes its net; for other files --net does, where the format or the names need it. With
    --names torch the mean and variance of a BatchNorm are divided by its scale factor, and a Scale that follows it
    becomes its weight and bias.

    \b
    Examples:
      filler convert lenet_iter_10000.caffemodel lenet.safetensors
      filler convert VGG_ILSVRC_16_layers.caffemodel vgg16.safetensors --dtype f16 --max-shard-size 100MB
      filler convert ResNet-50-model.caffemodel resnet50.pt --names torch --net ResNet-50-deploy.prototxt
      filler convert weights.npz weights.caffemodel --net deploy.prototxt
      filler convert imagenet_mean.binaryproto mean.npy
    """
    from caffe_filler import dtypes
    from filler_client.cli.terminal import print_line, print_warnings, progress, size
    from filler_server.weights.conversion import plan_conversion, write_conversion
    from filler_server.weights.opening import open_weights

    begun = time.perf_counter()
    with open_weights(source) as weights:
        print_warnings(weights.problems, source)
        plan = None if net is None else read_net_of_weights(net, options)  # type: ignore[arg-type]
        conversion = plan_conversion(
            weights, names=names, dtype=None if dtype is None else dtypes.parse(dtype), net=plan
        )
        metadata = {**weights.metadata, "producer": "caffe-filler"}
        if names == "torch":
            metadata["format"] = "pt"
        with progress(conversion.nbytes) as advance:
            notes = write_conversion(
                conversion, target, metadata=metadata, max_shard_bytes=max_shard_size, advance=advance
            )
    for note in (*conversion.notes, *notes):
        print_line(f"{target}: note: {note}", err=True)
    seconds = time.perf_counter() - begun
    rate = f"{size(conversion.nbytes)} in {seconds:.2f} s ({size(conversion.nbytes / seconds)}/s)"
    print_line(f"{weights.format}: {len(conversion.headers)} tensors, {rate}: {target}")

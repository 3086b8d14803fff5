"""`filler convert`: a file of weights to another format."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from filler_client.cli.options import DType, is_given
from filler_client.cli.weights_net import (
    manifest_beside,
    manifest_option,
    max_shard_size_option,
    names_option,
    print_notes,
    reshape_option,
    weights_net_options,
)

if TYPE_CHECKING:
    from filler_client import Names


@click.command()
@click.pass_context
@click.argument("source", metavar="IN", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path))
@names_option
@click.option("--dtype", type=DType(), help="Data type of the values.  [default: as they are]")
@reshape_option
@max_shard_size_option
@manifest_option
@weights_net_options
def convert(
    context: click.Context,
    /,
    source: Path,
    target: Path,
    names: "Names",
    dtype: str | None,
    reshape: bool,
    max_shard_size: int | None,
    manifest: str | None,
    net: Path | None,
    **options: Any,
) -> None:
    """Write the weights of IN to OUT in the format of OUT's ending.

    IN is a .caffemodel of any age, a .binaryproto, Caffe's HDF5, .npz, .npy, .safetensors or its index, a file of
    PyTorch, or prototxt with values in it, also compressed by gzip; it is known by its content. OUT ends in
    .caffemodel, .prototxt, .h5, .npz, .npy, .safetensors, .pt or .binaryproto. Memory does not grow with the file, and
    OUT appears when it is complete.

    A .caffemodel describes its net; for other files --net does, where the format or the names need it. Every blob of
    the net that --net names must be in IN, in its shape. With --names torch the tensors are those of the state_dict of
    matching modules: BatchNorm divided by its factor, with weight and bias of the Scale that follows it, LSTM with
    PyTorch's order of the gates. A state_dict becomes the blobs of the net that --net names.

    \b
    Examples:
      filler convert lenet_iter_10000.caffemodel lenet.safetensors
      filler convert VGG_ILSVRC_16_layers.caffemodel vgg16.safetensors --dtype f16 --max-shard-size 100MiB
      filler convert ResNet-50-model.caffemodel resnet50.pt --names torch --net ResNet-50-deploy.prototxt
      filler convert resnet50.pt ResNet-50.caffemodel --net ResNet-50-deploy.prototxt
      filler convert weights.npz weights.caffemodel --net deploy.prototxt
      filler convert imagenet_mean.binaryproto mean.npy
    """
    import filler_client
    from caffe_filler import dtypes
    from caffe_filler.printable import counted
    from filler_client.cli.outputs import check_outputs, is_index, place_of
    from filler_client.cli.terminal import print_line, print_warnings, progress, rate

    begun = time.perf_counter()
    if net is None:
        # The defaults of options that nobody gave are none.
        options = {name: value for name, value in options.items() if is_given(context, name)}
    # Nothing is lost where a file is converted in place or a set becomes one file; of a shard the others would be.
    is_whole = is_index(source) or place_of(source) == place_of(target)
    check_outputs([(source, target)], [*([] if net is None else [net]), *([] if is_whole else [source])])
    with filler_client.open_weights(source) as weights:
        print_warnings(weights.problems, source)
        total = sum(
            tensor.nbytes if dtype is None else tensor.count * dtypes.parse(dtype).itemsize
            for tensor in weights.tensors
        )
        with progress(total) as advance:
            saved = filler_client.convert(
                weights,
                target,
                names=names,
                dtype=dtype,
                net=net,
                reshape=reshape,
                max_shard_bytes=max_shard_size,
                manifest=manifest_beside(manifest, target),
                advance=advance,
                **options,
            )
    print_notes(saved.notes, target)
    tensors = counted(saved.tensors, "tensor")
    print_line(f"{weights.format}: {tensors}, {rate(saved.nbytes, time.perf_counter() - begun)}: {saved.path}")

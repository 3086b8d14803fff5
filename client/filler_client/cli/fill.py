"""`filler fill`: one blob, or a region of one, into a file."""

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from filler_client.cli.options import Region, Server, Shape, dtype_option, server_option, stream_option

if TYPE_CHECKING:
    from filler_client import Stream


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the types that begin so."""
    from filler_server.fillers import registered
    from filler_server.frameworks.names import NAMES

    return [name for name in (*registered(), *NAMES) if name.startswith(incomplete)]


@click.command()
@click.argument("filler", shell_complete=_complete)
@click.option("--shape", required=True, type=Shape(), help="Shape of the whole blob.")
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True, metavar="N", help="0 to 2**64 - 1."
)
@stream_option
@click.option(
    "--name",
    default="",
    metavar="STREAM",
    help="Selects the random numbers; in a net it is <layer>/<blob index>.",
)
@click.option("--region", type=Region(), help="The part that is wanted, as 0:32,:,:,: or flat:0:4096.")
@click.option(
    "--layout",
    metavar="WORDS",
    help="Meaning of each axis where it is not Caffe's out,in,...: in, out, kernel, stack, each for one or several; "
    "... for any number of the kernel's; or letters, as HWIO.",
)
@dtype_option
@click.option(
    "-o", "--output", required=True, help="File to write: .npy, .npz, .safetensors; - for .npy to standard output."
)
@server_option
def fill(
    filler: str,
    shape: tuple[int, ...],
    seed: int,
    stream: "Stream",
    name: str,
    region: Any,
    layout: str | None,
    dtype: str,
    output: str,
    server: Server,
) -> None:
    """Fill one blob by FILLER, a FillerParameter in prototxt or the name of a type.

    \b
    Examples:
      filler fill 'type: "msra" variance_norm: FAN_OUT' --shape 64,3,7,7 -o conv1.npy
      filler fill xavier --shape 4096,9216 --name fc6/0 --region 0:512,: -o rank0.npy
      filler fill torch.kaiming_uniform_ --shape 64,3,7,7 --name conv1/0 -o conv1.npy
      filler fill xavier --shape 12,512,2048 --layout stack,in,out --name mlp/kernel -o layers.npy
      filler fill xavier --shape 512,8,64 --layout in,out,out --name query/kernel -o query.npy
      filler fill bilinear --shape 21,1,64,64 -o - | python -c 'import numpy, sys; ...'
    """
    import filler_client
    from filler_client._requests import is_random
    from filler_client.cli.connect import connect_once
    from filler_client.cli.terminal import print_line, progress, standard_output

    if output == "-" and sys.stdout.isatty():
        raise click.UsageError("-o - writes binary data, and standard output is a terminal")
    with connect_once(server) as client:
        tensor = client.tensor(
            filler, shape, seed=seed, name=name, dtype=dtype, region=region, layout=layout, stream=stream
        )
        with progress(tensor.nbytes) as advance, standard_output() if output == "-" else nullcontext():
            filler_client.save_weights(
                [tensor],
                sys.stdout.buffer if output == "-" else output,
                metadata={"producer": "caffe-filler", "stream": stream, "seed": str(seed)},
                advance=advance,
            )
    if not name and stream == "philox" and is_random(filler):
        text = "every blob of this shape, filler and seed has these values: --name tells blobs apart"
        print_line(f"warning: {text}", err=True)

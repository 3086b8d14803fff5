"""`filler fill`: one blob, or a region of one, into a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from filler_client.cli.options import Region, Server, Shape, dtype_option, seed_option, server_option, stream_option

if TYPE_CHECKING:
    from filler_client import Stream


@click.command()
@click.argument("filler")
@click.option("--shape", required=True, type=Shape(), help="Shape of the whole blob.")
@seed_option
@stream_option
@click.option(
    "--name",
    default="",
    metavar="STREAM",
    help="Selects the random numbers; in a net it is <layer>/<blob index>.",
)
@click.option("--region", type=Region(), help="The part that is wanted, as 0:32,:,:,: or flat:0:4096.")
@dtype_option
@click.option(
    "-o", "--output", required=True, help="File to write: .npy, .npz, .safetensors; - for .npy to standard output."
)
@server_option
def fill(
    filler: str,
    shape: tuple[int, ...],
    seed: int | None,
    stream: "Stream",
    name: str,
    region: Any,
    dtype: str,
    output: str,
    server: Server,
) -> None:
    """Fill one blob by FILLER, a FillerParameter in prototxt or the name of a type.

    \b
    Examples:
      filler fill 'type: "msra" variance_norm: FAN_OUT' --shape 64,3,7,7 -o conv1.npy
      filler fill xavier --shape 4096,9216 --name fc6/0 --region 0:512,: -o rank0.npy
      filler fill bilinear --shape 21,1,64,64 -o - | python -c 'import numpy, sys; ...'
    """
    from caffe_filler import dtypes
    from filler_client import _requests
    from filler_client.cli.connect import connect
    from filler_client.cli.terminal import progress
    from filler_server.weights.formats import open_writer
    from filler_server.weights.writer import Tensor

    if output == "-" and sys.stdout.isatty():
        raise click.UsageError("-o - writes binary data, and standard output is a terminal")
    request = _requests.fill_request(
        filler, shape, seed=seed or 0, name=name, dtype=dtype, region=region, stream=stream
    )
    with connect(server) as client:
        pieces = client.pieces(request)
        first = next(pieces)
        tensor = Tensor(name or "blob", first.shape, dtypes.parse(dtype))
        metadata = {"producer": "caffe-filler", "stream": stream, "seed": str(seed or 0)}
        writer = open_writer(sys.stdout.buffer if output == "-" else Path(output), [tensor], metadata=metadata)
        with writer, progress(tensor.nbytes) as advance:
            writer.write(first.data)
            advance(len(first.data), name)
            for piece in pieces:
                writer.write(piece.data)
                advance(len(piece.data), name)

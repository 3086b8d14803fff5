"""`filler init`: all learnable blobs of a net into a file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from filler_client.cli.options import (
    Server,
    data_draws_option,
    dtype_option,
    in_file,
    net_options,
    seed_option,
    server_option,
    stream_option,
)

if TYPE_CHECKING:
    from caffe_filler.v1 import filler_pb2
    from filler_client import DataDraws, NetOptions, Stream
    from filler_server.weights.writer import Tensor


@click.command()
@net_options
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .safetensors or .npz.",
)
@seed_option
@stream_option
@data_draws_option
@dtype_option
@click.option(
    "--names",
    type=click.Choice(["caffe", "torch"]),
    default="caffe",
    show_default=True,
    help="Names of the tensors: <layer>/<blob index>, or <layer>.weight, <layer>.bias ...",
)
@click.option(
    "--test-net",
    type=click.IntRange(0),
    metavar="K",
    help="With --solver: fill its test net of this number, from 0, in place of its train net.",
)
@server_option
def init(
    net: Path | None,
    solver: Path | None,
    output: Path,
    seed: int | None,
    stream: "Stream",
    data_draws: "DataDraws",
    dtype: str,
    names: str,
    test_net: int | None,
    server: Server,
    **options: Unpack["NetOptions"],
) -> None:
    """Fill every learnable blob of a net and write them to a file.

    The file is the same whether this process computes or a server does, and appears when it is complete. With
    --stream caffe the weights are those that Caffe itself would have started from with this seed.

    \b
    Examples:
      filler init train_val.prototxt -o weights.safetensors --seed 1701
      filler init train_val.prototxt -o weights.npz --server host1:50051,host2:50051
      filler init deploy.prototxt -o weights.safetensors --dtype bf16 --names torch
      filler init --solver solver.prototxt --stream caffe -o weights.npz
    """
    from caffe_filler import dtypes
    from caffe_filler.errors import DataLoss
    from filler_client import _requests
    from filler_client.cli.connect import connect
    from filler_client.cli.sources import choose, net_sources, settle_seed
    from filler_client.cli.terminal import print_warnings, progress
    from filler_server.weights.formats import open_writer

    sources = net_sources(net, solver, options)
    source, before = choose(sources, test_net)
    seed = settle_seed(sources, seed, solver)
    request = _requests.fill_net_request(
        source.data,
        seed=seed,
        dtype=dtype,
        stream=stream,
        data_draws=data_draws,
        before=[_requests.plan_request(other.data, **other.options) for other in before] if stream != "philox" else (),
        **source.options,
    )
    begun = time.perf_counter()
    with connect(server) as client, in_file(source.label):
        plan = client.plan(request.net)
        print_warnings(plan.warnings, source.label)
        tensors = _tensors(plan, dtypes.parse(dtype), names)
        metadata = {"producer": "caffe-filler", "stream": stream, "seed": str(seed)}
        total = sum(tensor.nbytes for tensor in tensors)
        expected = [blob.name for layer in plan.layers for blob in layer.blobs]
        with open_writer(output, tensors, metadata=metadata) as writer, progress(total) as advance:
            received = iter(expected)
            for piece in client.pieces(request):
                if piece.offset == 0 and piece.header.name != (name := next(received, None)):
                    raise DataLoss(f"blob '{name}' should follow. Received: '{piece.header.name}'")
                writer.write(piece.data)
                advance(len(piece.data), piece.header.name)
    _print(plan, output, total, time.perf_counter() - begun)


def _tensors(plan: "filler_pb2.PlanNetResponse", dtype: Any, names: str) -> "list[Tensor]":
    """The tensors of the file, in the order of the stream; unknown shapes are the stream's to refuse."""
    from filler_server.weights.names import tensor_name
    from filler_server.weights.writer import Tensor

    return [
        Tensor(
            tensor_name(names, blob=blob.name, layer_type=layer.type, blobs=len(layer.blobs)),
            tuple(blob.shape.dim),
            dtype,
        )
        for layer in plan.layers
        for blob in layer.blobs
    ]


def _print(plan: "filler_pb2.PlanNetResponse", output: Path, total: int, seconds: float) -> None:
    from filler_client.cli.blobs import dimensions, short_filler
    from filler_client.cli.terminal import number, print_table, shape, size

    rows = [
        [blob.name, shape(dimensions(blob.shape)), short_filler(blob), number(blob.std), number(blob.count)]
        for layer in plan.layers
        for blob in layer.blobs
    ]
    columns = [("blob", "left"), ("shape", "left"), ("filler", "left"), ("std", "right"), ("values", "right")]
    print_table(columns, rows)
    rate = f"{size(total)} in {seconds:.2f} s ({size(total / seconds)}/s)"
    click.echo(f"\n{number(plan.parameters)} parameters, {rate}: {output}")

"""`filler serve`: the server."""

import sys
from collections.abc import Sequence

import click


@click.command()
@click.option(
    "--listen",
    multiple=True,
    default=["localhost:50051"],
    show_default=True,
    metavar="ADDR",
    help="host:port (port 0: any free one) or unix:path; repeatable.",
)
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads of the kernels.  [default: one per CPU]")
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="What running calls get when the server is told to stop.",
)
@click.option(
    "--max-request-bytes",
    type=click.IntRange(1),
    default=1 << 40,
    show_default=True,
    metavar="N",
    help="Data of one request.",
)
@click.option(
    "--max-request-blobs",
    type=click.IntRange(1),
    default=1 << 16,
    show_default=True,
    metavar="N",
    help="Blobs of one request.",
)
@click.option(
    "--max-net-bytes",
    type=click.IntRange(1),
    default=64 << 20,
    show_default=True,
    metavar="N",
    help="Length of a net's prototxt or binary.",
)
@click.option(
    "--max-streams",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    metavar="N",
    help="Streams that run at once.",
)
def serve(
    listen: Sequence[str],
    threads: int | None,
    grace: float,
    max_request_bytes: int,
    max_request_blobs: int,
    max_net_bytes: int,
    max_streams: int,
) -> None:
    """Serve the fillers over gRPC, with health checking and reflection, until SIGTERM or Ctrl-C.

    \b
    Examples:
      filler serve
      filler serve --listen 127.0.0.1:50051 --listen unix:/run/filler.sock --threads 8
    """
    try:
        from filler_server.service.limits import Limits
        from filler_server.service.server import Settings
        from filler_server.service.server import serve as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("numba", "grpc_health", "grpc_reflection"):
            raise
        raise click.ClickException(f"the server needs {error.name}: pip install 'caffe-filler[server]'") from None
    limits = Limits(
        request_bytes=max_request_bytes,
        request_blobs=max_request_blobs,
        net_bytes=max_net_bytes,
        streams=max_streams,
    )
    settings = Settings(listen=listen, threads=threads, grace=grace, limits=limits)
    sys.exit(run(settings, announce=lambda text: click.echo(text, err=True)))

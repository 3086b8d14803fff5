"""`filler health`: whether a server serves."""

import sys

import click

from filler_client.cli.options import Server, asked_server_option

_LAST_SECONDS = 0.5


@click.command()
@click.option("--service", default="", metavar="NAME", help="Ask for one service.  [default: the server as a whole]")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for the answer, connecting included.",
)
@asked_server_option
def health(service: str, timeout: float, server: Server) -> None:
    """Ask a server for its health; exit with 0 when it is SERVING and with 1 otherwise.

    No token is needed. For probes and scripts; of several servers all must serve.

    \b
    Examples:
      filler health --server localhost:50051
      until filler health --server unix:/run/filler.sock; do sleep 1; done
    """
    import grpc

    from filler_client._connection import parse_targets
    from filler_client.cli.connect import security
    from filler_client.cli.terminal import print_line

    try:
        from grpc_health.v1 import health_pb2, health_pb2_grpc
    except ModuleNotFoundError as error:
        raise click.ClickException(f"this needs {error.name}: pip install 'caffe-filler[server]'") from None
    if server.address is None:
        raise click.UsageError("Missing option '--server'.")
    request = health_pb2.HealthCheckRequest(service=service)
    is_serving = True
    for target in parse_targets(server.address):
        secured = security(server)
        with secured.channel(target, []) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            try:
                try:
                    answer = check(request, timeout=timeout, wait_for_ready=True)
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                        raise
                    # Only a call that does not wait for a connection is told why there is none.
                    answer = check(request, timeout=_LAST_SECONDS)
            except grpc.RpcError as error:
                text = error.details() or "no answer"
                advice = secured.advice(text)
                text = text if advice is None else f"{advice} ({text})"
                raise click.ClickException(f"{target}: {error.code().name}: {text}") from None
        known = health_pb2.HealthCheckResponse.ServingStatus
        status = known.Name(answer.status) if answer.status in known.values() else f"unknown status {answer.status}"
        print_line(f"{target}: {status}")
        is_serving &= status == "SERVING"
    sys.exit(0 if is_serving else 1)

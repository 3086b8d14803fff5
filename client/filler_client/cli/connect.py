"""The client that a command talks through."""

import os
from typing import TYPE_CHECKING

from filler_client import FillerClient, RetryPolicy, SecurityOptions, Tls
from filler_client.cli.options import Server

if TYPE_CHECKING:
    from filler_client._security import Security


def connect(server: Server) -> FillerClient:
    """Return a client of the server, or one that computes in this process."""
    if server.address is None:
        return FillerClient.embedded()
    retry = RetryPolicy() if server.retry_for is None else RetryPolicy(patience=server.retry_for)
    return FillerClient(server.address, timeout=server.timeout, retry=retry, **_options(server))


def connect_once(server: Server) -> FillerClient:
    """Do as `connect`, for a command that fills one file: where that is small, it does not wait for Numba."""
    if server.address is None:
        from filler_server.rng.philox import begin_in_numpy

        begin_in_numpy()
    return connect(server)


def security(server: Server) -> "Security":
    """Return what opens channels to the server, for calls that the client does not have."""
    from filler_client._security import Security

    return Security(**_options(server))


def _options(server: Server) -> SecurityOptions:
    is_tls = server.tls or any((server.ca, server.certificate, server.key, server.server_name))
    return {
        "credentials": Tls(server.ca, server.certificate, server.key, server.server_name) if is_tls else None,
        # In the environment it is out of sight; on a command line every user of the machine could read it.
        "token": os.environ.get("FILLER_TOKEN") if server.token_file is None else None,
        "token_file": server.token_file,
        "insecure": server.insecure,
    }

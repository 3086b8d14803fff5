"""The client that a command talks through."""

import os

from filler_client import FillerClient, Tls
from filler_client.cli.options import Server


def connect(server: Server) -> FillerClient:
    """Return a client of the server, or one that computes in this process."""
    if server.address is None:
        return FillerClient.embedded()
    is_tls = server.tls or any((server.ca, server.certificate, server.key, server.server_name))
    return FillerClient(
        server.address,
        credentials=Tls(server.ca, server.certificate, server.key, server.server_name) if is_tls else None,
        # In the environment it is out of sight; on a command line every user of the machine could read it.
        token=os.environ.get("FILLER_TOKEN") if server.token_file is None else None,
        token_file=server.token_file,
        insecure=server.insecure,
    )

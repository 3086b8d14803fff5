"""The client that a command talks through."""

from filler_client import FillerClient


def connect(server: str | None) -> FillerClient:
    """Return a client of the server, or one that computes in this process."""
    return FillerClient.embedded() if server is None else FillerClient(server)

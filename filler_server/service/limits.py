"""What one request may ask for; each limit is checked before anything is allocated."""

from dataclasses import dataclass

from caffe_filler.errors import LimitExceeded


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server.

    Attributes:
        request_bytes: data of one Fill or FillNet, in bytes.
        request_blobs: blobs of one Fill or FillNet.
        request_nets: nets that draw before the one of a request.
        net_bytes: length of a net's prototxt or binary, in bytes.
        streams: Fill and FillNet calls that run at once, all clients together.
    """

    request_bytes: int = 1 << 40
    request_blobs: int = 1 << 16
    request_nets: int = 64
    net_bytes: int = 64 << 20
    streams: int = 64

    def check(self, name: str, received: int) -> None:
        """Compare a value with the limit of that name.

        Raises:
            LimitExceeded: it is over.
        """
        limit: int = getattr(self, name)
        if received > limit:
            raise LimitExceeded(
                f"over the limit {name}={limit}. Received: {received}",
                metadata={"limit": name, "value": str(limit), "received": str(received)},
            )

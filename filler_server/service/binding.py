"""Addresses that a server of gRPC listens on."""

import grpc

from caffe_filler.addresses import is_socket
from caffe_filler.errors import InvalidArgument


def bind(server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    """Let a server listen; return the address with the port that was given for 0.

    Raises:
        InvalidArgument: it cannot be bound.
    """
    try:
        if credentials is None or is_socket(address):
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise InvalidArgument(f"cannot listen there: {error}. Received: listen={address}") from None
    return address if is_socket(address) else f"{address.rpartition(':')[0]}:{port}"

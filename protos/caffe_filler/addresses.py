"""Addresses of gRPC: what makes one, and which stay inside the machine, where nobody else can read plaintext."""

import ipaddress
import re

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import either

_MAX_PORT = 2**16 - 1
MAX_SOCKET_PATH = 107
"""Bytes of the path of a Unix socket on Linux."""

_NO_SCHEMES = {"http://": False, "https://": True, "grpc://": False, "grpcs://": True, "tcp://": False}
"""Schemes that others write and gRPC does not know, and whether TLS is meant."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_socket(address: str) -> bool:
    """Return whether an address is a Unix socket."""
    return address.startswith(("unix:", "unix-abstract:"))


def socket_path(address: str) -> str:
    """Return the path of `unix:path` or `unix:///path`."""
    path = address.removeprefix("unix:")
    return path.removeprefix("//") if path.startswith("///") else path


def host_and_port(address: str) -> tuple[str, int]:
    """Return host and port of an address that has one of each; an empty host where it is none such.

    The address is one that `check_address` accepts.
    """
    authority, parts = _split(address)
    if authority or len(parts) != 1:
        return "", 0
    host, _, port = parts[0].rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_local(address: str) -> bool:
    """Return whether a gRPC address is a Unix socket or a literal loopback address, as gRPC writes them.

    `localhost` counts as one; any other name does not, whatever it resolves to.

    Example:
        >>> is_local("unix:/run/filler.sock"), is_local("127.0.0.1:50051"), is_local("0.0.0.0:50051")
        (True, True, False)
    """
    if is_socket(address):
        return True
    authority, parts = _split(address)
    # dns://authority/name asks a server of names of its own.
    return not authority and bool(parts) and all(map(_is_loopback, parts))


def check_address(address: str, what: str) -> None:
    """Make sure that an address has all that it needs: gRPC takes a port modulo 65536, and 443 where there is none.

    Args:
        address: the address; of schemes that only plugins of gRPC know, nothing is checked.
        what: what has it, for the message.

    Raises:
        InvalidArgument: it has no port, a port that none can be, or no path.
    """
    fault = _socket_fault(address) if is_socket(address) else _fault(address)
    if fault is not None:
        raise InvalidArgument(f"{fault}. Received: {what}={address}")


def _split(address: str) -> tuple[str, list[str]]:
    """Return who resolves the names of an address, where that is not the system, and each of its `host:port`."""
    scheme = next((scheme for scheme in ("dns:", "ipv4:", "ipv6:") if address.startswith(scheme)), "")
    rest = address.removeprefix(scheme)
    if not scheme:
        return "", [] if _SCHEME.match(rest) else [rest]
    authority = ""
    if rest.startswith("//"):
        authority, separator, name = rest.removeprefix("//").partition("/")
        authority, rest = (authority, name) if separator else ("", authority)
    return authority, [rest] if scheme == "dns:" else rest.split(",")


def _is_loopback(part: str) -> bool:
    host = part.removeprefix("[").partition("]")[0] if part.startswith("[") else part.rpartition(":")[0]
    host = host or part
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fault(address: str) -> str | None:
    """Return what is wrong with an address that is not a Unix socket."""
    for scheme, tls in _NO_SCHEMES.items():
        if address.lower().startswith(scheme):
            remedy = f"; {either(python='credentials=Tls()', cli='--tls')} is for TLS" if tls else ""
            return f"an address is host:port, without {scheme}{remedy}"
    return next((fault for fault in map(_part_fault, _split(address)[1]) if fault is not None), None)


def _part_fault(part: str) -> str | None:
    """Return what is wrong with one `host:port`."""
    bracketed = part.startswith("[")
    host, bracket, rest = part.removeprefix("[").partition("]") if bracketed else ("", "", part)
    if not bracketed:
        host, colon, port = part.rpartition(":")
        if ":" in host:
            return f"an IPv6 address stands in brackets, as in [::1]:50051, got {part}"
    else:
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":"):
            return f"an IPv6 address and its port are like [::1]:50051, got {part}"
    if not colon or not port:
        return f"an address needs a port, as in {part.rstrip(':') or 'localhost'}:50051"
    if not (port.isascii() and port.isdecimal()):
        return f"a port is a number, got {port}"
    return None if len(port) <= 9 and int(port) <= _MAX_PORT else f"port must be 0 to {_MAX_PORT}, got {port[:20]}"


def _socket_fault(address: str) -> str | None:
    if address.startswith("unix-abstract:"):
        return None if address.removeprefix("unix-abstract:") else "unix-abstract: needs a name"
    path = socket_path(address)
    if path.startswith("//"):
        return "after unix:// comes an absolute path, as in unix:///run/filler.sock"
    if not path or path.endswith("/"):
        return "unix: needs the path of a socket"
    length = len(path.encode(errors="surrogateescape"))
    return (
        None if length <= MAX_SOCKET_PATH else f"the path of a socket has at most {MAX_SOCKET_PATH} bytes, got {length}"
    )

"""Addresses that stay inside the machine, where nobody else can read plaintext."""

import ipaddress


def is_local(address: str) -> bool:
    """Return whether a gRPC address is a Unix socket or a literal loopback address, as gRPC writes them.

    `localhost` counts as one; any other name does not, whatever it resolves to.

    Example:
        >>> is_local("unix:/run/filler.sock"), is_local("127.0.0.1:50051"), is_local("0.0.0.0:50051")
        (True, True, False)
    """
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in ("dns:", "ipv4:", "ipv6:"):
        if address.startswith(scheme):
            authority, separator, name = address.removeprefix(scheme).removeprefix("//").partition("/")
            if separator and authority:
                # dns://authority/name asks a server of names of its own.
                return False
            address = name if separator else authority
            if scheme != "dns:" and "," in address:
                return all(is_local(part) for part in address.split(","))
            break
    host = address.removeprefix("[").partition("]")[0] if address.startswith("[") else address.rpartition(":")[0]
    host = host or address
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Numbers as protobuf writes them."""


def varint(value: int) -> bytes:
    """Return the varint of a number of 0 or more: seven bits a byte, the low ones first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)

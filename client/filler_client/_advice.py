"""Advice about connections that do not come about: gRPC says what happened, and not what to do."""

from caffe_filler.interface import either

_UNKNOWN_AUTHORITY = ("local issuer certificate", "self signed", "self-signed", "first certificate")
_LASTING = (
    *_UNKNOWN_AUTHORITY,
    "WRONG_VERSION_NUMBER",
    "Hostname Verification Check failed",
    "Failed to create security handshaker",
    "Failed parsing HTTP/2",
)
_CLOSED = ("Socket closed", "Connection reset", "Broken pipe")
_NEVER_OPEN = ("connections to all backends failing", "failed to connect to all addresses")


def connection_advice(text: str, *, tls: bool, certificate: bool) -> str | None:
    """Return what would settle it, from gRPC's words for why there is no connection; None where nothing is known.

    Args:
        text: gRPC's words.
        tls: whether the client speaks TLS.
        certificate: whether it shows a certificate of its own.
    """
    if "WRONG_VERSION_NUMBER" in text:
        options = either(python="credentials=...", cli="the --tls options")
        return f"the server does not speak TLS: leave out {options}, or ask another port"
    if any(words in text for words in _UNKNOWN_AUTHORITY):
        option = either(python="credentials=Tls(ca=...)", cli="--tls-ca FILE")
        return f"the authority of the server's certificate is not trusted: {option} names the file with it"
    if "Hostname Verification Check failed" in text:
        option = either(python="Tls(server_name=...)", cli="--tls-server-name NAME")
        return f"the server's certificate has another name than the address: {option} says which to look for"
    if "Failed to create security handshaker" in text:
        options = either(python="Tls(...)", cli="the --tls options")
        return f"the files of {options} are not certificates and a key in PEM"
    if "Failed parsing HTTP/2" in text:
        return "what listens there is not a gRPC server"
    if not (any(words in text for words in _NEVER_OPEN) and any(words in text for words in _CLOSED)):
        return None
    if not tls:
        option = either(python="credentials=Tls(...)", cli="--tls or --tls-ca FILE")
        return f"the server closes the connection: if it speaks TLS, give {option}"
    if not certificate:
        options = either(python="Tls(certificate=..., key=...)", cli="--tls-certificate and --tls-key")
        return f"the server closes the connection: if it asks clients for certificates, give {options}"
    return None


def is_lasting(text: str) -> bool:
    """Return whether time does not mend a connection that does not come about, from gRPC's words for why."""
    return any(words in text for words in _LASTING)


def token_advice() -> str:
    """Return what shows a token."""
    return either(python="token_file=... or token=... shows one", cli="--token-file FILE or FILLER_TOKEN shows one")

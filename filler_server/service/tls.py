"""TLS of the server, from files that may be replaced while it runs."""

import logging
import ssl
import threading
from pathlib import Path

import grpc

from caffe_filler.errors import FillerError, InvalidArgument
from filler_server.service.settings import TlsFiles
from filler_server.service.watched_files import WatchedFiles

_log = logging.getLogger(__name__)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Return credentials that look at the files for each connection, and take over what has changed.

    When certificate and key do not belong together, or a file cannot be read, those of before stay and the log says
    so: files that are replaced one after the other do no harm.

    Raises:
        InvalidArgument: the files cannot be used to begin with.
    """
    certificate, key = files.certificate, files.key
    if certificate is None or key is None:
        raise InvalidArgument(f"TLS needs a certificate and its key. Received: certificate={certificate}, key={key}")
    paths = [certificate, key, *([files.client_ca] if files.client_ca is not None else [])]
    watched = WatchedFiles(paths)
    watched.changed()
    lock = threading.Lock()
    read = _read(certificate, key, files.client_ca)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        with lock:
            if not watched.changed():
                return None
            try:
                configuration = _read(certificate, key, files.client_ca)
            except FillerError as error:
                _log.warning("the certificate stays as it was: %s", error)
                return None
        _log.info("read the certificate anew from %s", certificate)
        return configuration

    return grpc.dynamic_ssl_server_credentials(read, fetch, files.client_ca is not None)


def _read(certificate: Path, key: Path, client_ca: Path | None) -> grpc.ServerCertificateConfiguration:
    """Read the files, and make sure that they are what they should be: gRPC would only fail each connection."""
    contents = [_content(path) for path in (certificate, key, client_ca)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password given, one would be asked for at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, ValueError, OSError) as error:
        raise InvalidArgument(
            f"not a certificate in PEM with its key: {_reason(error)}. Received: certificate={certificate}, key={key}"
        ) from None
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise InvalidArgument(
                f"not certificates in PEM: {_reason(error)}. Received: client_ca={client_ca}"
            ) from None
    if contents != [_content(path) for path in (certificate, key, client_ca)]:
        raise InvalidArgument(f"the files are being replaced. Received: certificate={certificate}, key={key}")
    return grpc.ssl_server_certificate_configuration([(contents[1], contents[0])], contents[2])


def _content(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {error.strerror}") from error


def _reason(error: Exception) -> str:
    return (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()

"""Bearer tokens: which there are, and who may call without one."""

import hashlib
import hmac
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import grpc

from caffe_filler.errors import FillerError, InvalidArgument, Unauthenticated
from caffe_filler.metadata import AUTHORIZATION, check_token
from caffe_filler.printable import counted
from filler_server.service import status
from filler_server.service.watched_files import WatchedFiles

_LARGEST = 1 << 20
"""Bytes of a file of tokens at most."""

_MOST = 1024
"""Tokens at most: each call is compared with every one of them."""

HEALTH = "/grpc.health.v1.Health/"
"""Methods that need no token: probes learn only whether there is a server."""

_log = logging.getLogger(__name__)


class TokenFile:
    """The tokens of a file: one a line; empty lines and those that begin with # are passed over.

    The file is read anew when it changes. When it cannot be read, or has a line that is not a token, the earlier tokens
    stay and the log says so; a file without tokens lets nobody in. Only hashes of the tokens are kept.

    Raises:
        InvalidArgument: the file cannot be read, has a line that is not a token, has too many, or none to begin with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._watched = WatchedFiles([path])
        self._watched.changed()
        self._lock = threading.Lock()
        self._digests = _read(path)
        if not self._digests:
            raise InvalidArgument(f"a file of tokens has at least one. Received: token_file={path}")

    def accepts(self, token: str) -> bool:
        """Return whether it is one of the tokens, in a time that does not tell which or how much of it is right."""
        digest = _digest(token)
        found = False
        for known in self._current():
            found |= hmac.compare_digest(digest, known)
        return found

    def _current(self) -> tuple[bytes, ...]:
        with self._lock:
            if self._watched.changed():
                try:
                    self._digests = _read(self._path)
                except FillerError as error:
                    _log.warning("the tokens stay as they were: %s", error)
                else:
                    _log.info("read %d tokens from %s", len(self._digests), self._path)
            return self._digests


class TokenInterceptor(grpc.ServerInterceptor):
    """Refuses calls without a known token in their metadata: `authorization: Bearer <token>`."""

    def __init__(self, tokens: TokenFile) -> None:
        self._tokens = tokens

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Return the handler of the method, or one that refuses."""
        if handler_call_details.method.startswith(HEALTH):
            return continuation(handler_call_details)
        given = [value for key, value in handler_call_details.invocation_metadata if key == AUTHORIZATION]
        if len(given) != 1:
            needed = "a call needs a token: 'authorization: Bearer <token>' in its metadata, once"
            return _refuse(f"{needed}. Received: {counted(len(given), 'token')}")
        scheme, _, token = str(given[0]).partition(" ")
        if scheme.lower() != "bearer" or not self._tokens.accepts(token.strip()):
            return _refuse("invalid token")
        return continuation(handler_call_details)


def _refuse(message: str) -> grpc.RpcMethodHandler:
    def refuse(requests: object, context: grpc.ServicerContext) -> None:
        status.abort(context, Unauthenticated(message))

    # Of all kinds this one alone ends a call before its request is read.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _read(path: Path) -> tuple[bytes, ...]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise InvalidArgument(f"a file of tokens has at most {_LARGEST} bytes. Received: token_file={path}")
    digests = []
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        check_token(token, f"{path}:{number}")
        digests.append(_digest(token))
    if len(digests) > _MOST:
        raise InvalidArgument(f"{path}: a file of tokens has at most {_MOST} tokens. Received: {len(digests)}")
    return tuple(digests)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()

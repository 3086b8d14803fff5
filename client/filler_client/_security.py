"""Authentication of servers and of the client: TLS and bearer tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from caffe_filler.addresses import is_local, is_socket
from caffe_filler.errors import InvalidArgument
from caffe_filler.files import read_file
from caffe_filler.interface import either, option_name
from caffe_filler.metadata import AUTHORIZATION, check_token
from filler_client._advice import connection_advice

if TYPE_CHECKING:
    import grpc
    import grpc.aio

_MOST_BYTES = 1 << 20
"""Length up to which a certificate, a key or a token is read."""

Version: TypeAlias = tuple[tuple[int, ...] | None, ...]
"""Identity of the TLS files, as the file system tells it."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of TLS, all in PEM. They are read when a connection is first needed, and anew when they have changed.

    Attributes:
        ca: certificates of the authorities to trust; None: those that gRPC brings along.
        certificate: this client's own certificate with its chain, for servers that ask for one (mutual TLS).
        key: its private key.
        server_name: the name to look for in the servers' certificates; None: the one in their address.

    Raises:
        InvalidArgument: a certificate without a key, or a key without a certificate.
    """

    ca: str | PathLike[str] | None = None
    certificate: str | PathLike[str] | None = None
    key: str | PathLike[str] | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            remedy = either(python="", cli=": give --tls-certificate and --tls-key")
            raise InvalidArgument(
                f"a client's certificate and its key belong together{remedy}. "
                f"Received: certificate={self.certificate}, key={self.key}"
            )

    def channel_credentials(self) -> "grpc.ChannelCredentials":
        """Return gRPC's credentials of these files.

        Raises:
            InvalidArgument: a file cannot be read.
        """
        import grpc

        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.certificate))


class SecurityOptions(TypedDict, total=False):
    """Credentials of a client, and its demands on servers.

    Attributes:
        credentials: TLS, or credentials of gRPC's own; without them connections are plaintext.
        token: a bearer token to send with every call.
        token_file: a file with that token in its first line, read anew for every call, so that it may be replaced.
        insecure: send the token in plaintext, too, to addresses outside this machine.
    """

    credentials: "Tls | grpc.ChannelCredentials | None"
    token: str | None
    token_file: str | PathLike[str] | None
    insecure: bool


class Security:
    """Opens channels, and gives each call what proves the caller."""

    def __init__(
        self,
        credentials: "Tls | grpc.ChannelCredentials | None" = None,
        token: str | None = None,
        token_file: str | PathLike[str] | None = None,
        insecure: bool = False,
    ) -> None:
        if token is not None and token_file is not None:
            raise InvalidArgument(f"a client has one token. Received: token=..., token_file={token_file}")
        self._credentials = credentials
        self._token = None if token is None else _checked(token)
        self._token_file = None if token_file is None else Path(token_file)
        self._insecure = insecure
        self.metadata()

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to take a secret along into a pickle."""
        if self._token is not None:
            raise TypeError("a client with a token cannot be pickled, so that the token stays here: give token_file")
        if self._credentials is not None and not isinstance(self._credentials, Tls):
            raise TypeError("a client with credentials of gRPC's own cannot be pickled: give credentials=Tls(...)")
        return self.__dict__

    def check(self, targets: Sequence[str]) -> None:
        """Make sure that no token travels where others can read it.

        Raises:
            InvalidArgument: it would.
        """
        if self._insecure or self._credentials is not None or not self.has_token:
            return
        for target in targets:
            if not is_local(target):
                options = either(python="credentials=Tls(), or say insecure=True", cli="--tls, or say --insecure")
                raise InvalidArgument(
                    f"a token in plaintext can be read on its way: give {options}. Received: target={target}"
                )

    @property
    def has_token(self) -> bool:
        """Whether calls show a token."""
        return self._token is not None or self._token_file is not None

    def advice(self, text: str) -> str | None:
        """Return what would make a connection that does not come about, from gRPC's words; None: nothing known."""
        shown = isinstance(self._credentials, Tls) and self._credentials.certificate is not None
        return connection_advice(text, tls=self._credentials is not None, certificate=shown)

    def metadata(self) -> tuple[tuple[str, str], ...] | None:
        """Return the metadata of the next call.

        Raises:
            InvalidArgument: the file of the token cannot be read, or has none.
        """
        token = self._token
        if self._token_file is not None:
            text = _read(self._token_file).decode(errors="replace").strip()
            token = _checked(text.partition("\n")[0].strip(), f"{option_name('token_file')}={self._token_file}")
        return None if token is None else ((AUTHORIZATION, f"Bearer {token}"),)

    def version(self) -> Version:
        """Return what changes when the files of TLS do: calls then need a new channel."""
        if not isinstance(self._credentials, Tls):
            return ()
        files = (self._credentials.ca, self._credentials.certificate, self._credentials.key)
        return tuple(_identity(path) for path in files if path is not None)

    def channel(self, target: str, options: Sequence[tuple[str, Any]]) -> "grpc.Channel":
        """Open a channel.

        Raises:
            InvalidArgument: a file of the credentials cannot be read.
        """
        import grpc

        credentials = self._channel_credentials(target)
        options = [*options, *_proxy_option(target)]
        if credentials is None:
            return grpc.insecure_channel(target, options=options)
        return grpc.secure_channel(target, credentials, options=[*options, *self._name_option()])

    def aio_channel(self, target: str, options: Sequence[tuple[str, Any]]) -> "grpc.aio.Channel":
        """Open an asynchronous channel.

        Raises:
            InvalidArgument: a file of the credentials cannot be read.
        """
        import grpc.aio

        credentials = self._channel_credentials(target)
        options = [*options, *_proxy_option(target)]
        if credentials is None:
            return grpc.aio.insecure_channel(target, options=options)
        return grpc.aio.secure_channel(target, credentials, options=[*options, *self._name_option()])

    def _channel_credentials(self, target: str) -> "grpc.ChannelCredentials | None":
        if not isinstance(self._credentials, Tls):
            return self._credentials
        # Servers speak plaintext on Unix sockets, which only this machine can reach.
        return None if is_socket(target) else self._credentials.channel_credentials()

    def _name_option(self) -> list[tuple[str, str]]:
        name = self._credentials.server_name if isinstance(self._credentials, Tls) else None
        return [] if name is None else [("grpc.ssl_target_name_override", name)]


def _checked(token: str, where: str = "") -> str:
    check_token(token, where)
    return token


def _proxy_option(target: str) -> list[tuple[str, int]]:
    """Options that keep calls to this machine inside of it: gRPC sends them to the proxy of the environment, too."""
    return [("grpc.enable_http_proxy", 0)] if is_local(target) else []


def _identity(path: str | PathLike[str]) -> tuple[int, ...] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: str | PathLike[str] | None) -> Any:
    """The content of a file, None for None."""
    if path is None:
        return None
    try:
        return read_file(Path(path), _MOST_BYTES)
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {error.strerror}") from error

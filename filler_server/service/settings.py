"""Settings of a server, in one frozen object."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from caffe_filler.errors import InvalidArgument
from filler_server.api.limits import Limits
from filler_server.api.setting import check_fields, section, setting


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of TLS, in PEM, read anew when they change.

    Raises:
        InvalidArgument: one is missing that another needs.
    """

    certificate: Path | None = setting(None, "The server's certificate with its chain, in PEM; makes it speak TLS.")
    key: Path | None = setting(None, "The private key of the certificate, in PEM.")
    client_ca: Path | None = setting(
        None, "Certificates of authorities, in PEM; clients must then show a certificate of one of them (mutual TLS)."
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if (self.certificate is None) != (self.key is None):
            raise InvalidArgument(
                "the certificate of TLS and its key belong together. "
                f"Received: certificate={self.certificate}, key={self.key}"
            )
        if self.client_ca is not None and self.certificate is None:
            raise InvalidArgument(
                "clients show certificates over TLS alone, which needs certificate and key. "
                f"Received: client_ca={self.client_ca}, certificate=None"
            )


@dataclass(frozen=True, slots=True)
class Log:
    """Log of the server, on standard error."""

    format: Literal["console", "json"] = setting("console", "For people, or one JSON object a line.")
    level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "The least that is written; each call is a line of info, each health check one of debug."
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a server; flags, environment variables and keys of a file are made from these fields.

    Raises:
        InvalidArgument: a value has another type or is out of range.
    """

    listen: Sequence[str] = setting(
        ("localhost:50051",), "host:port (port 0: any free one) or unix:path; repeatable.", unit="ADDR"
    )
    insecure: bool = setting(False, "Speak plaintext on addresses that others can reach, too.")
    token_file: Path | None = setting(
        None, "Bearer tokens, one a line, of which clients must show one; read anew when it changes."
    )
    threads: int | None = setting(
        None, "Threads of the kernels, of all processes together.  [default: one per CPU]", minimum=1
    )
    processes: int | Literal["auto"] = setting(
        1,
        "Processes that share the addresses, each with limits of its own; auto: one per CPU.",
        unit="N|auto",
        minimum=1,
    )
    grace: float = setting(30.0, "What running calls get when the server is told to stop.", unit="SECONDS", minimum=0)
    health_listen: str | None = setting(
        None, "host:port that answers health checks alone, in plaintext, for probes that speak no TLS.", unit="ADDR"
    )
    metrics_listen: str | None = setting(
        None, "host:port that answers Prometheus, in plaintext; it tells numbers alone.", unit="ADDR"
    )
    channelz: bool = setting(False, "Answer grpc.channelz.v1 too, which shows connections and calls.")
    tls: TlsFiles = section(TlsFiles, prefix="tls")
    log: Log = section(Log, prefix="log")
    limits: Limits = section(Limits, prefix="max")

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.listen:
            raise InvalidArgument("a server needs an address to listen on. Received: listen=[]")

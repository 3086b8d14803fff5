"""Real certificates for the tests, of an authority of their own."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Pem:
    """Files of a certificate with its key, and of the authority that signed it."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def server_options(self) -> tuple[str, ...]:
        return "--tls-certificate", str(self.certificate), "--tls-key", str(self.key)


class Authority:
    """Signs certificates into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = folder / f"{name}.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def sign(self, file: str, *names: str, common_name: str | None = None) -> Pem:
        """Write a certificate with its key for these host names or addresses; files are replaced."""
        signed = self._authority.issue_cert(*names, common_name=common_name)
        pem = Pem(self.ca, self._folder / f"{file}.crt", self._folder / f"{file}.key")
        for path, content in (
            (pem.certificate, b"".join(blob.bytes() for blob in signed.cert_chain_pems)),
            (pem.key, signed.private_key_pem.bytes()),
        ):
            new = path.with_suffix(".new")
            new.write_bytes(content)
            new.replace(path)
        return pem

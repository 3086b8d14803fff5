"""Generates the message classes and stubs beside their .proto files, at build time and for `make protos`."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
SOURCES = ("caffe_filler/caffe/caffe.proto", "caffe_filler/v1/filler.proto", "caffe_filler/v1/rules.proto")


def generate(root: Path = ROOT) -> None:
    """Write `*_pb2.py`, `*_pb2.pyi` and, for services, `*_pb2_grpc.py` below `root`.

    Raises:
        RuntimeError: protoc refused a source; what it said stands on standard error.
    """
    from grpc_tools import protoc

    out = str(root)
    for source in SOURCES:
        arguments = ["protoc", f"-I{out}", f"--python_out={out}", f"--pyi_out={out}", source]
        if "service " in (root / source).read_text(encoding="utf-8"):
            arguments.insert(1, f"--grpc_python_out={out}")
        if protoc.main(arguments) != 0:
            raise RuntimeError(f"protoc could not compile {source}")


class ProtoBuildHook(BuildHookInterface[Any]):
    """Hatchling's entry: editable installs and wheels alike carry freshly generated code."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate before the files of the distribution are collected."""
        generate(Path(self.root) / "protos")


if __name__ == "__main__":
    generate()
    sys.exit(0)

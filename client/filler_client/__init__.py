"""Clients of the filler service: remote, embedded in this process, and asynchronous.

from filler_client import FillerClient

client = FillerClient("localhost:50051")    # or FillerClient.embedded()
weight = client.fill('type: "msra"', (64, 3, 7, 7), seed=1701, region=np.s_[0:32, :])
for name, weight in client.fill_net(Path("train_val.prototxt"), seed=1701):
    ...
for name, weight in client.finetune_net(Path("finetune.prototxt"), "trained.caffemodel", seed=1701):
    ...
client.save_net(Path("train_val.prototxt"), "weights.safetensors", seed=1701, names="torch")
convert("trained.caffemodel", "trained.pt", names="torch")
prob = run(Path("deploy.prototxt"), "trained.caffemodel", {"data": image})["prob"]
export(Path("deploy.prototxt"), "net.onnx", "trained.caffemodel")
assert verify("weights.safetensors").is_equal
findings = lint(Path("solver.prototxt"))
"""

import importlib
import typing

from caffe_filler.axes import FanAxes
from caffe_filler.errors import (
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FieldViolation,
    FillerError,
    FillerParameterError,
    InvalidArgument,
    LimitExceeded,
    NetError,
    NotFound,
    PrototxtError,
    RegionError,
    ServiceError,
    ShapeError,
    Unauthenticated,
    Unavailable,
    UnknownBlob,
    UnknownFiller,
    WeightsError,
)
from filler_client._backend import Piece
from filler_client._client import FillerClient
from filler_client._content import Names
from filler_client._finetune import FinetuneOptions, WeightsLike
from filler_client._many import BlobSpec
from filler_client._requests import (
    DataDraws,
    FillerLike,
    FillNetOptions,
    FillOptions,
    Flat,
    NetLike,
    NetOptions,
    PartialShape,
    Phase,
    RegionLike,
    Selection,
    Stream,
    UnnamedBlobWarning,
    ValueOptions,
)
from filler_client._retry import RetryPolicy
from filler_client._saving import SavedNet, SaveNetOptions, SaveOptions
from filler_client._security import SecurityOptions, Tls
from filler_client._signal import SignalOptions
from filler_client._weights import Inspected, TensorsLike, convert, diff, inspect, open_weights, save_weights

if typing.TYPE_CHECKING:
    from filler_client._async import AsyncFillerClient
    from filler_client._check import check
    from filler_client._explain import explain
    from filler_client._export import Exported, export
    from filler_client._lint import LintLike, fix, lint, lint_rules
    from filler_client._models import ModelWeights
    from filler_client._report import report
    from filler_client._run import InputLike, run
    from filler_client._translate import translate
    from filler_client._verification import VerificationError
    from filler_client._verify import ManifestLike, Verification, verify
    from filler_server.diagnostics.explain.explanation import Explained
    from filler_server.diagnostics.lint.findings import Finding, Findings
    from filler_server.diagnostics.lint.fixing import Fixed
    from filler_server.diagnostics.report.page import Report
    from filler_server.diagnostics.signal.report import SignalReport
    from filler_server.diagnostics.statistics.checked import Checked
    from filler_server.diagnostics.statistics.result import CheckedBlob
    from filler_server.digests import Digest, Manifest, digest
    from filler_server.frameworks.translation import Translation
    from filler_server.net import operations
    from filler_server.net.plan import Blob, Edge, Layer, NetPlan, Top, Value
    from filler_server.prototxt.report import Problem

__all__ = [
    "AsyncFillerClient",
    "Blob",
    "BlobSpec",
    "Cancelled",
    "Checked",
    "CheckedBlob",
    "DataDraws",
    "DataLoss",
    "DeadlineExceeded",
    "Digest",
    "Edge",
    "Explained",
    "Exported",
    "FanAxes",
    "FieldViolation",
    "FillNetOptions",
    "FillOptions",
    "FillerClient",
    "FillerError",
    "FillerLike",
    "FillerParameterError",
    "Finding",
    "Findings",
    "FinetuneOptions",
    "Fixed",
    "Flat",
    "InputLike",
    "Inspected",
    "InvalidArgument",
    "Layer",
    "LimitExceeded",
    "LintLike",
    "Manifest",
    "ManifestLike",
    "ModelWeights",
    "Names",
    "NetError",
    "NetLike",
    "NetOptions",
    "NetPlan",
    "NotFound",
    "PartialShape",
    "Phase",
    "Piece",
    "Problem",
    "PrototxtError",
    "RegionError",
    "RegionLike",
    "Report",
    "RetryPolicy",
    "SaveNetOptions",
    "SaveOptions",
    "SavedNet",
    "SecurityOptions",
    "Selection",
    "ServiceError",
    "ShapeError",
    "SignalOptions",
    "SignalReport",
    "Stream",
    "TensorsLike",
    "Tls",
    "Top",
    "Translation",
    "Unauthenticated",
    "Unavailable",
    "UnknownBlob",
    "UnknownFiller",
    "UnnamedBlobWarning",
    "Value",
    "ValueOptions",
    "Verification",
    "VerificationError",
    "WeightsError",
    "WeightsLike",
    "check",
    "convert",
    "diff",
    "digest",
    "explain",
    "export",
    "fix",
    "inspect",
    "lint",
    "lint_rules",
    "open_weights",
    "operations",
    "report",
    "run",
    "save_weights",
    "translate",
    "verify",
]


def __dir__() -> list[str]:
    return __all__


_PLAN = "filler_server.net.plan"
_LAZY = {
    "AsyncFillerClient": "filler_client._async",
    **dict.fromkeys(("Blob", "Edge", "Layer", "NetPlan", "Top", "Value"), _PLAN),
    "Checked": "filler_server.diagnostics.statistics.checked",
    "CheckedBlob": "filler_server.diagnostics.statistics.result",
    "check": "filler_client._check",
    "Explained": "filler_server.diagnostics.explain.explanation",
    "explain": "filler_client._explain",
    "Problem": "filler_server.prototxt.report",
    **dict.fromkeys(("Exported", "export"), "filler_client._export"),
    **dict.fromkeys(("InputLike", "run"), "filler_client._run"),
    **dict.fromkeys(("Finding", "Findings"), "filler_server.diagnostics.lint.findings"),
    "Fixed": "filler_server.diagnostics.lint.fixing",
    **dict.fromkeys(("LintLike", "fix", "lint", "lint_rules"), "filler_client._lint"),
    "ModelWeights": "filler_client._models",
    "report": "filler_client._report",
    "Report": "filler_server.diagnostics.report.page",
    "SignalReport": "filler_server.diagnostics.signal.report",
    "Translation": "filler_server.frameworks.translation",
    "VerificationError": "filler_client._verification",
    **dict.fromkeys(("ManifestLike", "Verification", "verify"), "filler_client._verify"),
    **dict.fromkeys(("Digest", "Manifest", "digest"), "filler_server.digests"),
    "translate": "filler_client._translate",
    "operations": "filler_server.net.operations",
}
"""Modules of the names that are imported when they are first asked for: gRPC and what reads or runs nets take time."""


def __getattr__(name: str) -> typing.Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name])
    return module if _LAZY[name].endswith(f".{name}") else getattr(module, name)

"""Nothing of the host reaches a client, and nothing that a client names reaches the host."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter, NetParameter
from caffe_filler.v1 import filler_pb2, filler_pb2_grpc
from tests.processes import ServerProcess

MARKER = "planted-by-the-client"

AUDIT = f"""
import sys

def audit(event, arguments):
    text = repr(arguments)
    if {MARKER!r} in text and event.split(".")[0] in ("open", "import", "exec", "subprocess", "os", "socket", "shutil"):
        sys.stderr.write("REACHED " + event + " " + text + "\\n")

sys.addaudithook(audit)
"""

SERVE = """
from filler_server.fillers.constant import ConstantFiller
from filler_server.fillers.distributions import Constant
from filler_server.service.start import serve
from filler_server.service.settings import Settings

class Faulty(Constant):
    def fill(self, out, runs, random):
        open("/nonexistent/secret-of-the-host")

usual = ConstantFiller.distribution
ConstantFiller.distribution = lambda self, shape, dtype: Faulty(0.0) if shape == (7,) else usual(self, shape, dtype)
sys.exit(serve(Settings(listen=["127.0.0.1:0"])))
"""


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that tells what it opens, and that has a filler with a fault."""
    program = tmp_path_factory.mktemp("audited") / "serve.py"
    program.write_text(AUDIT + SERVE)
    process = ServerProcess(command=[sys.executable, str(program)])
    yield process
    assert process.stop() == 0
    assert "REACHED" not in process.log


@pytest.fixture
def stub(audited: ServerProcess) -> Iterator[filler_pb2_grpc.FillerServiceStub]:
    with grpc.insecure_channel(audited.address) as channel:
        yield filler_pb2_grpc.FillerServiceStub(channel)


def test_a_fault_of_the_server_tells_nothing_of_the_host(
    audited: ServerProcess, stub: filler_pb2_grpc.FillerServiceStub
) -> None:
    blob = filler_pb2.BlobSpec(filler=FillerParameter(type="constant"), shape=BlobShape(dim=[7]))
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Fill(filler_pb2.FillRequest(blobs=[blob])))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    everything = f"{caught.value.details()} {caught.value.trailing_metadata()} {caught.value.initial_metadata()}"
    for told in ("secret", "nonexistent", "Traceback", ".py", "Errno", str(Path.cwd())):
        assert told not in everything
    # The operator is told.
    audited.wait_for("secret-of-the-host")
    assert stub.ListFillers(filler_pb2.ListFillersRequest()).fillers


def plant(message: Any, depth: int) -> None:
    """Put the marker into every string and bytes of a message, one of each kind of message in it."""
    for field in message.DESCRIPTOR.fields:
        if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            text: Any = f"/tmp/{MARKER}/{field.name}"
            text = text if field.type == FieldDescriptor.TYPE_STRING else text.encode()
            if field.is_repeated:
                getattr(message, field.name).append(text)
            else:
                setattr(message, field.name, text)
        elif field.type == FieldDescriptor.TYPE_MESSAGE and depth:
            child = getattr(message, field.name)
            child = child.add() if field.is_repeated else child
            child.SetInParent()
            plant(child, depth - 1)
        elif field.is_required:
            setattr(message, field.name, 1)


PATH = f"/tmp/{MARKER}/data"
READERS = {
    "Data": f'top: "a" data_param {{ source: "{PATH}" batch_size: 2 }} transform_param {{ mean_file: "{PATH}" }}',
    "ImageData": f'top: "a" top: "b" image_data_param {{ source: "{PATH}" root_folder: "{PATH}/" batch_size: 2 }}',
    "HDF5Data": f'top: "a" hdf5_data_param {{ source: "{PATH}" batch_size: 2 }}',
    "WindowData": (
        f'top: "a" top: "b" window_data_param {{ source: "{PATH}" mean_file: "{PATH}" batch_size: 2 }} '
        "transform_param { crop_size: 3 }"
    ),
    "Python": f'top: "a" python_param {{ module: "{MARKER}" layer: "{MARKER}" param_str: "{PATH}" }}',
}
"""Layers that in Caffe read a file or a module: the rest of what makes each a layer that can be planned."""


def nets() -> dict[str, NetParameter]:
    """Nets of one layer with the marker wherever something can be named; those of `READERS` can be planned."""
    found = {}
    for kind, rest in READERS.items():
        found[kind] = text_format.Parse(f'layer {{ name: "{PATH}" type: "{kind}" {rest} }}', NetParameter())
    for kind in (*READERS, "HDF5Output", "MemoryData", "InfogainLoss", "Convolution", "SomethingElse"):
        net = NetParameter()
        plant(net, 0)
        del net.input[:]
        layer = net.layer.add()
        plant(layer, 3)
        layer.type = kind
        for field in ("bottom", "include", "exclude", "blobs", "param"):
            layer.ClearField(field)
        found[f"{kind} with all fields"] = net
    return found


NETS = nets()


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("method", ["PlanNet", "FillNet", "FillNet of Caffe", "UpgradeNet"])
def test_no_name_of_a_net_is_opened_or_imported(
    stub: filler_pb2_grpc.FillerServiceStub, method: str, kind: str
) -> None:
    """The audit hook sees whatever Python opens, imports or runs; the fixture looks at the end."""
    text = str(NETS[kind]).encode()
    assert MARKER.encode() in text
    for net in (text, NETS[kind].SerializeToString()):
        plan = filler_pb2.PlanNetRequest(net=net)
        code = grpc.StatusCode.OK
        try:
            match method:
                case "PlanNet":
                    stub.PlanNet(plan)
                case "UpgradeNet":
                    stub.UpgradeNet(filler_pb2.UpgradeNetRequest(file=net))
                case _:
                    stream = filler_pb2.CAFFE if "Caffe" in method else filler_pb2.PHILOX
                    list(stub.FillNet(filler_pb2.FillNetRequest(net=plan, stream=stream)))
        except grpc.RpcError as error:
            code = error.code()
        assert code is grpc.StatusCode.OK or kind not in READERS or method != "PlanNet"
        assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)


def test_no_name_of_a_blob_is_opened(audited: ServerProcess, stub: filler_pb2_grpc.FillerServiceStub) -> None:
    path = f"/tmp/{MARKER}"
    blob = filler_pb2.BlobSpec(name=path, filler=FillerParameter(type="msra"), shape=BlobShape(dim=[3, 4]))
    list(stub.Fill(filler_pb2.FillRequest(blobs=[blob]), metadata=[("x-request-id", path), ("authorization", path)]))
    with pytest.raises(grpc.RpcError):
        list(stub.Fill(filler_pb2.FillRequest(blobs=[filler_pb2.BlobSpec(filler=FillerParameter(type=path))])))
    audited.wait_for(MARKER)
    assert "REACHED" not in audited.log


def test_the_hook_would_notice() -> None:
    program = f"{AUDIT}\ntry: open('/tmp/{MARKER}')\nexcept OSError: pass\n"
    with pytest.raises(AssertionError, match="REACHED open"):
        ServerProcess(command=[sys.executable, "-c", program])

import grpc
import pytest

from caffe_filler import errors
from caffe_filler.errors import FieldViolation, FillerError

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FillerError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_names_a_status_of_grpc_and_stands_in_the_tree(kind: type[FillerError]) -> None:
    assert grpc.StatusCode[kind.status] not in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN)
    assert errors.__doc__ is not None
    assert f" {kind.__name__}" in errors.__doc__
    assert kind.__doc__


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InvalidArgument, ValueError),
        (errors.ShapeError, ValueError),
        (errors.UnknownFiller, LookupError),
        (errors.Unavailable, ConnectionError),
        (errors.DeadlineExceeded, TimeoutError),
        (errors.Unauthenticated, PermissionError),
    ],
)
def test_errors_are_pythons_own_too(kind: type[FillerError], builtin: type[Exception]) -> None:
    with pytest.raises(builtin, match=r"^text$"):
        raise kind("text")


def test_a_prototxt_error_says_where() -> None:
    error = errors.PrototxtError("no such field", line=3, column=14)
    assert str(error) == "3:14: no such field"
    assert (error.line, error.column) == (3, 14)
    binary = errors.PrototxtError("not a message")
    assert (str(binary), binary.line, binary.column) == ("not a message", None, None)


@pytest.mark.parametrize(
    ("layer", "line", "text"),
    [
        ("conv1", 7, "line 7, layer 'conv1': wrong"),
        ("conv1", None, "layer 'conv1': wrong"),
        (None, None, "wrong"),
        (None, 7, "line 7: wrong"),
    ],
)
def test_a_net_error_says_where(layer: str | None, line: int | None, text: str) -> None:
    error = errors.NetError("wrong", layer=layer, line=line)
    assert (str(error), error.layer, error.line) == (text, layer, line)


def test_errors_about_fields_name_them() -> None:
    assert errors.FillerParameterError("bad", field="std").field == "std"
    assert errors.FillerParameterError("bad", field="std").violations == (FieldViolation("std", "bad"),)
    assert errors.ShapeError("bad").violations == (FieldViolation("shape", "bad"),)
    assert errors.RegionError("bad").violations == (FieldViolation("region", "bad"),)


def test_an_error_has_metadata_of_its_own() -> None:
    one, other = FillerError("a"), FillerError("b")
    one.metadata["key"] = "value"
    assert other.metadata == {}
    assert errors.ServiceError("x", code="ABORTED").code == "ABORTED"

import copy
import pickle
from pathlib import Path

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

    error = errors.InvalidArgument("bad", field="dtype")
    assert (error.field, error.violations) == ("dtype", (FieldViolation("dtype", "bad"),))


def test_an_error_within_something_says_so() -> None:
    error = errors.NetError("wrong", layer="conv1", line=7)
    assert error.within("blob 'conv1/0'", blob="conv1/0").within("net 2") is error
    assert str(error) == error.message == "net 2: blob 'conv1/0': line 7, layer 'conv1': wrong"
    assert (error.reason, error.blob, error.layer) == ("wrong", "conv1/0", "conv1")
    assert errors.NetError("wrong").message == "wrong"


def test_fields_at_fault_lie_within_others() -> None:
    error = errors.FillerParameterError("bad", field="std").within(field="filler").within(field="blobs[3]")
    assert error.violations == (FieldViolation("blobs[3].filler.std", "bad"),)
    assert (str(error), error.field) == ("bad", "std")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.PrototxtError("no such field", line=3, column=14), "net.prototxt:3:14: no such field"),
        (errors.PrototxtError("not a message"), "net.prototxt: not a message"),
        (errors.PrototxtError("bad", line=3, column=14).within("solver"), "net.prototxt: solver: 3:14: bad"),
        (errors.NetError("wrong", layer="a", line=7), "net.prototxt: line 7, layer 'a': wrong"),
        (errors.LimitExceeded("too many", line=4), "net.prototxt: line 4: too many"),
    ],
)
def test_an_error_in_a_file_names_it(error: FillerError, text: str) -> None:
    assert error.in_file(Path("net.prototxt")) is error
    assert (str(error), error.file) == (text, "net.prototxt")
    assert str(error.in_file("solver.prototxt")) == text
    assert "file" not in error.metadata


def test_a_limit_is_known_by_its_name_and_not_by_its_words() -> None:
    error = errors.LimitExceeded.over("stall_seconds", 120.0, 120.5)
    assert (error.limit, error.value, error.received) == ("stall_seconds", 120.0, 120.5)
    assert (error.is_busy, error.is_cut_off) == (False, True)
    read = errors.LimitExceeded.from_text(str(error))
    assert read is not None
    assert (str(read), read.metadata) == (str(error), error.metadata)
    assert errors.LimitExceeded.from_text(f"{error}, or so") is None


ERRORS: list[FillerError] = [
    *[kind("it is wrong. Received: x=1") for kind in CLASSES if kind is not errors.FillerParameterError],
    errors.InvalidArgument("two", violations=[FieldViolation("a", "b"), FieldViolation("c.d[3]", "e")]),
    errors.PrototxtError("not a message", line=3, column=14).in_file("net.prototxt"),
    errors.NetError("no such bottom", layer="conv1", line=7).within("blob 'conv1/0'", blob="conv1/0"),
    errors.FillerParameterError("std must be positive", field="std").within("here", field="blobs[3].filler"),
    errors.UnknownFiller("no such filler", field="type"),
    errors.LimitExceeded.over("streams", 64, 65, line=4),
    errors.ServiceError("broken", code="ABORTED"),
]


def attributes(error: FillerError) -> dict[str, object]:
    """Everything that can be asked of an error."""
    values = {name: getattr(error, name, None) for name in dir(error) if not name.startswith("_")}
    return {name: value for name, value in values.items() if not callable(value)}


@pytest.mark.parametrize("copied", [*range(pickle.HIGHEST_PROTOCOL + 1), "copy"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_error_can_be_pickled(error: FillerError, copied: int | str) -> None:
    again = copy.deepcopy(error) if copied == "copy" else pickle.loads(pickle.dumps(error, copied))
    assert type(again) is type(error)
    assert (str(again), again.args) == (str(error), error.args)
    assert attributes(again) == attributes(error)
    assert str(again.within("once more")) == f"once more: {error}"


def test_the_pickled_are_all_there_are() -> None:
    assert {type(error) for error in ERRORS} == set(CLASSES)
    for name in FillerError._details | errors.LimitExceeded._details | errors.ServiceError._details:
        assert any(getattr(error, name, None) for error in ERRORS), name


def test_what_a_program_adds_to_an_error_is_pickled_too() -> None:
    error = errors.FillerParameterError("bad", field="std")
    error.add_note("seen on rank 3")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["seen on rank 3"]


def test_metadata_that_cannot_be_read_are_left_out() -> None:
    error = errors.NetError.restored("line 7: bad", metadata={"line": "seven", "layer": "a", "colour": "blue"})
    assert (str(error), error.line, error.layer, error.metadata) == ("line 7: bad", None, "a", {"layer": "a"})

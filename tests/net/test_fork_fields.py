import pytest

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError
from filler_server.net.fork_fields import ForkFields, Unread
from filler_server.prototxt.unknown import Value

VALUES: dict[str, list[Value]] = {
    "a_param": [
        {
            "n": ["7"],
            "list": ["1", "0x10", "010", "-3"],
            "real": ["1.5f"],
            "reals": ["1", "-2e3", ".5"],
            "yes": ["True"],
            "word": ["MAX"],
            "inner": [{"deep": ["9"]}],
            "twice": ["1", "2"],
            "filler": [{"type": ["xavier"], "value": ["0.5"], "sparse": ["3"], "variance_norm": ["AVERAGE"]}],
            "wrong": [{"std": ["x"]}],
            "odd": [{"shape": ["1"]}],
            "norm": [{"variance_norm": ["FAN"]}],
        }
    ],
    "pooling_param.ceil_mode": ["false"],
}


@pytest.fixture
def fields() -> ForkFields:
    return ForkFields(VALUES, declared={"a_param", "pooling_param.ceil_mode", "b_param"}, layer="it", line=3)


def test_values_by_path(fields: ForkFields) -> None:
    assert fields.integer("a_param.n", 1) == 7
    assert fields.integer("a_param.absent", 1) == 1
    assert fields.integer("b_param.n", 1) == 1
    assert fields.integers("a_param.list", least=-5) == (1, 16, 8, -3)
    assert fields.integers("a_param.absent") == ()
    assert fields.number("a_param.real", 0) == 1.5
    assert fields.numbers("a_param.reals") == (1, -2000, 0.5)
    assert fields.flag("a_param.yes", False) is True
    assert fields.flag("pooling_param.ceil_mode", True) is False
    assert fields.word("a_param.word", "") == "MAX"
    assert fields.integer("a_param.inner.deep", 0) == 9
    assert fields.blocks("a_param.inner")[0].integer("deep", 0) == 9
    assert fields.blocks("a_param.inner")[0].integer("shallow", 4) == 4
    assert "a_param" in fields
    assert "a_param.word" in fields
    assert "a_param.absent" not in fields
    assert "b_param" not in fields
    assert not fields.failed


def test_fillers(fields: ForkFields) -> None:
    filler = caffe_pb2.FillerParameter(
        type="xavier", value=0.5, sparse=3, variance_norm=caffe_pb2.FillerParameter.AVERAGE
    )
    assert fields.filler("a_param.filler") == filler
    assert fields.filler("a_param.absent") == caffe_pb2.FillerParameter()
    assert fields.filler("a_param.absent", filler) == filler


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("integer", "a_param.real", "a_param.real must be an integer in [0, 4294967295]. Received: value='1.5f'"),
        ("integer", "a_param.word", "a_param.word must be an integer"),
        ("integer", "a_param.inner", "a_param.inner must not be a block"),
        ("integer", "a_param.twice", "a_param.twice is given twice; it holds one value"),
        ("integer", "a_param.n.deep", "a_param.n must be a block"),
        ("integers", "a_param.list", "must be an integer in [0, 4294967295]. Received: value='-3'"),
        ("number", "a_param.word", "a_param.word must be a finite number"),
        ("flag", "a_param.n", "a_param.n must be true or false. Received: value='7'"),
        ("word", "a_param.inner", "a_param.inner must not be a block"),
        ("filler", "a_param.n", "a_param.n must be a block"),
        ("filler", "a_param.wrong", "std must be a finite number. Received: value='x'"),
        ("filler", "a_param.odd", "a_param.odd: FillerParameter has no such field. Received: value='shape'"),
        ("filler", "a_param.norm", "VarianceNorm has no such value. Received: value='FAN'"),
        ("blocks", "a_param.n", "a_param.n must be a block"),
    ],
)
def test_wrong_values_are_refused(fields: ForkFields, method: str, path: str, words: str) -> None:
    arguments = {"integer": [0], "number": [0.0], "flag": [True], "word": [""]}.get(method, [])
    with pytest.raises(NetError) as caught:
        getattr(fields, method)(path, *arguments)
    assert caught.value.message.startswith("line 3, layer 'it': ")
    assert words in caught.value.message
    assert fields.failed


@pytest.mark.parametrize(
    "value", ["", "-", "1_0", "0b1", "0o7", "08", "1e3", " 1", "1" * 40, "4294967296", "\u0661", "nan", "inf", "--1"]
)
def test_no_integers(value: str) -> None:
    with pytest.raises(NetError, match="must be an integer"):
        ForkFields({"n": [value]}, declared=["n"]).integer("n", 0)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "", "f", "1_0"])
def test_no_numbers(value: str) -> None:
    with pytest.raises(NetError, match="must be a finite number"):
        ForkFields({"n": [value]}, declared=["n"]).number("n", 0)


def test_only_what_the_type_declares_may_be_asked_for(fields: ForkFields) -> None:
    for path in ("c_param", "a_paramount", "pooling_param.pool", "pooling_param"):
        with pytest.raises(ValueError, match="not declared by the layer's type"):
            fields.integer(path, 0)


def test_a_block_that_a_binary_file_may_hold_under_any_number() -> None:
    fields = ForkFields({}, declared=["a_param", "pooling_param.ceil_mode"], hidden=True)
    assert fields.flag("pooling_param.ceil_mode", True)
    with pytest.raises(Unread, match=r"^a_param$"):
        fields.integer("a_param.n", 0)

import contextlib
import itertools
import re
from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import LimitExceeded, PrototxtError
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.reader import read_text
from filler_server.prototxt.report import MAX_PROBLEMS
from filler_server.prototxt.text import ParsedText, parse_text
from filler_server.prototxt.tokens import Tokens
from filler_server.prototxt.unknown import Value

NET = caffe_pb2.NetParameter


def read(text: str, message_class: Any = NET) -> Any:
    """The message of a text in which nothing is reported."""
    message, problems = read_text(text.encode(), message_class)
    assert problems == ()
    return message


def equal(one: Message, other: Message) -> bool:
    """Bit for bit, so that -0 and NaN count too."""
    return one.SerializePartialToString(deterministic=True) == other.SerializePartialToString(deterministic=True)


# Every message that there is ------------------------------------------------------------------------------------------

INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32, allow_nan=False),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(allow_nan=False),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
}


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=8)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return st.text(max_size=8)
    return INTEGERS[field.cpp_type]


@st.composite
def messages(draw: st.DrawFn, descriptor: Any, depth: int = 5) -> Any:
    """Any valid message of a type, with a few of its fields."""
    message: Any = getattr(caffe_pb2, descriptor.name)()
    fields = [field for field in descriptor.fields if depth or field.message_type is None]
    required = [field for field in fields if field.is_required]
    chosen = draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda field: field.number)) if fields else []
    for field in {field.number: field for field in required + chosen}.values():
        if field.message_type is not None:
            for _ in range(draw(st.integers(1, 2)) if field.is_repeated else 1):
                child = draw(messages(field.message_type, depth - 1))
                target = getattr(message, field.name).add() if field.is_repeated else getattr(message, field.name)
                target.CopyFrom(child)
                target.SetInParent()
        elif field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(values(field), max_size=3)))
        else:
            setattr(message, field.name, draw(values(field)))
    return message


ANY_MESSAGE = st.sampled_from(sorted(caffe_pb2.DESCRIPTOR.message_types_by_name)).flatmap(
    lambda name: messages(caffe_pb2.DESCRIPTOR.message_types_by_name[name])
)
STYLES = st.fixed_dictionaries(
    {
        "as_utf8": st.booleans(),
        "as_one_line": st.booleans(),
        "pointy_brackets": st.booleans(),
        "use_short_repeated_primitives": st.booleans(),
        "use_index_order": st.booleans(),
    }
)


@settings(max_examples=300, deadline=None)
@given(ANY_MESSAGE, STYLES)
def test_reads_all_that_protobuf_prints(message: Message, style: Any) -> None:
    text = text_format.MessageToString(message, **style)
    assert equal(read(text, type(message)), message), text


GAPS = [" ", "\n", "\t", "\r\n", "# comment: { \" '\n", " \v\f "]


@settings(max_examples=100, deadline=None)
@given(messages(NET.DESCRIPTOR), st.lists(st.sampled_from(GAPS), min_size=1), st.sampled_from([" ", ",", ";", "; "]))
def test_space_comments_and_separators_change_nothing(message: Message, gaps: list[str], separator: str) -> None:
    tokens = Tokens(text_format.MessageToString(message))
    gap = itertools.cycle(gaps)
    pieces: list[str] = []
    while tokens.kind != "end":
        ends_field = tokens.text == "}" or (tokens.text != "-" and pieces[-2:-1] in ([":"], ["-"]))
        pieces += [tokens.text, next(gap) + (separator if ends_field else "") + next(gap)]
        tokens.advance()
    assert equal(read("".join(pieces)), message)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="{}<>[]:;,-.'\"\\#\n 019xef", max_size=30) | st.text(max_size=30), st.integers(0, 60))
def test_nothing_but_its_own_errors_comes_out(noise: str, position: int) -> None:
    text = "layer { name: 'a' pooling_param { pad: 1 stride: 0x2 pool: AVE } }"
    data = (text[:position] + noise + text[position:]).encode("utf-8", "surrogatepass")
    with contextlib.suppress(PrototxtError):
        read_text(data, NET)


# Oddities -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        ("layer: { name: 'x' }", 'layer { name: "x" }'),
        ("layer < name: 'x' >", 'layer { name: "x" }'),
        ("layer: < relu_param: <> >", "layer { relu_param { } }"),
        ("layer [{ name: 'x' }, < name: 'y' >]", 'layer { name: "x" } layer { name: "y" }'),
        ("layer: []", ""),
        ("layer{name:'x'}layer{name:'y'};", 'layer { name: "x" } layer { name: "y" }'),
        ("name: 'a'; debug_info: t, force_backward: f", 'name: "a" debug_info: true force_backward: false'),
        ("debug_info: True force_backward: False", "debug_info: true force_backward: false"),
        ("debug_info: 1 force_backward: 00", "debug_info: true force_backward: false"),
        ("debug_info: 0x1", "debug_info: true"),
        ("input_dim: [1, 2, 3] input_dim: 4 input_dim: []", "input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4"),
        ("input_dim: 0x10 input_dim: 010 input_dim: - 5", "input_dim: 16 input_dim: 8 input_dim: -5"),
        ("input_dim: -0x80000000 input_dim: 00", "input_dim: -2147483648 input_dim: 0"),
        ("state { phase: 1 stage: ['a' 'b', 'c'] }", 'state { phase: TEST stage: "ab" stage: "c" }'),
        ("state { phase: 0x0 }", "state { phase: TRAIN }"),
        ("layers { type: 4 }", "layers { type: CONVOLUTION }"),
        ("name: 'a' \"b\"\n# between\n'c'", 'name: "abc"'),
        (r"name: '\x41\102\103'", 'name: "ABC"'),
        ("name: 'raw\ttab'", r'name: "raw\ttab"'),
        ("\r\nname: 'x'\r\n# \r\n", 'name: "x"'),
    ],
)
def test_odd_but_right(odd: str, plain: str) -> None:
    message = read(odd)
    assert equal(message, text_format.Parse(plain, NET()))


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("1.", 1.0),
        (".5", 0.5),
        ("1e-3", 1e-3),
        ("1f", 1.0),
        ("0.5F", 0.5),
        ("1.e2f", 100.0),
        ("7", 7.0),
        ("-0", -0.0),
        ("- 2.5", -2.5),
        ("inf", float("inf")),
        ("-INF", -float("inf")),
        ("Infinity", float("inf")),
        ("NaN", float("nan")),
        ("-nan", -float("nan")),
        ("1e400", float("inf")),
        ("1e-400", 0.0),
        ("9" * 5000, float("inf")),
        ("99999999999999999999999999", 1e26),
    ],
)
def test_real_numbers(text: str, bits: float) -> None:
    assert equal(read(f"value: {text}", caffe_pb2.FillerParameter), caffe_pb2.FillerParameter(value=bits))


def test_places_in_the_outermost_message() -> None:
    text = "name: 'a'\nlayer {\n}\nlayer\n{ } layers [{},\n{}]\ninput_shape { dim: 1 }\nlayer { blobs { } }"
    parsed = parse_text(text, NET(), limits=ReadLimits())
    assert parsed.places == {
        "name": [(1, 1)],
        "layer": [(2, 1), (4, 1), (8, 1)],
        "layers": [(5, 5), (5, 5)],
        "input_shape": [(7, 1)],
    }


def test_the_last_of_a_list_may_be_in_another_block() -> None:
    assert read("layer { loss_weight: [1, 2] loss_weight: 3 }").layer[0].loss_weight == [1, 2, 3]


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("name: a", 1, 7, "expected a string in quotes for NetParameter.name. Received: a"),
        ("name: 1", 1, 7, "expected a string for NetParameter.name. Received: 1"),
        ("name:", 1, 6, "expected a string for NetParameter.name. Received: the end of the file"),
        ("name 'a'", 1, 6, "expected ':' after name. Received: 'a'"),
        ("name: 'a'\n  name: 'b'", 2, 3, "NetParameter.name is given twice; it holds one value. Received: name"),
        ("state {}\nstate {}", 2, 1, "NetParameter.state is given twice"),
        ("layer {\n pooling_param { pool: MAX pool: MAX } }", 2, 28, "PoolingParameter.pool is given twice"),
        ("name: 'a';; debug_info: t", 1, 11, "expected the name of a field of NetParameter. Received: ;"),
        ("1: 'a'", 1, 1, "expected the name of a field of NetParameter. Received: 1"),
        (r"name: 'a' 'b\q'", 1, 13, r"not an escape sequence. Received: \\q"),
        ("name: 'a\nb'", 1, 7, "not closed on its line"),
        ("debug_info: TRUE", 1, 13, "expected true or false for NetParameter.debug_info. Received: TRUE"),
        ("debug_info: 2", 1, 13, "expected true or false"),
        ("debug_info: 'true'", 1, 13, "expected true or false"),
        ("input_dim: 1.0", 1, 12, "expected an integer for NetParameter.input_dim. Received: 1.0"),
        ("input_dim: x", 1, 12, "expected an integer"),
        ("input_dim: -2147483649", 1, 12, "must be in [-2147483648, 2147483647]. Received: -2147483649"),
        ("input_dim: " + "9" * 5000, 1, 12, "must be in [-2147483648, 2147483647]. Received: 999"),
        ("input_dim: 089", 1, 12, "not a number. Received: 089"),
        ("input_dim: [1, 2,]", 1, 18, "expected an integer for NetParameter.input_dim. Received: ]"),
        ("input_dim: [1 2]", 1, 15, "expected ',' or ']'. Received: 2"),
        ("input_dim: [1, 2", 1, 12, "the list that starts here is never closed. Received: ["),
        ("layer { pooling_param { pad: -1 } }", 1, 30, "not negative for PoolingParameter.pad. Received: -1"),
        ("layer { pooling_param { pad: 4294967296 } }", 1, 30, "must be in [0, 4294967295]. Received: 4294967296"),
        ("layer { pooling_param { pad: [1 } }", 1, 33, "expected ',' or ']'"),
        ("layer { pooling_param { pool: 'MAX' } }", 1, 31, "a value of PoolingParameter.PoolMethod without quotes"),
        ("layer { pooling_param { pool: 1.0 } }", 1, 31, "a value of PoolingParameter.PoolMethod. Received: 1.0"),
        ("layer { type: CONVOLUTION }", 1, 15, "expected a string in quotes for LayerParameter.type"),
        ("layer { loss_weight: 0x10 }", 1, 22, "expected a decimal number for LayerParameter.loss_weight"),
        ("layer { loss_weight: -x }", 1, 22, "expected a number for LayerParameter.loss_weight. Received: -x"),
        ("layer: 'x'", 1, 8, "expected '{', as NetParameter.layer is a block. Received: 'x'"),
        ("state [{}]", 1, 7, "expected '{', as NetParameter.state is a block. Received: ["),
        ("layer {\n  relu_param {\n", 2, 14, "the block of LayerParameter.relu_param is never closed. Received: {"),
        ("layer {\n  name: 'x' >", 2, 13, "expected '}' to close the block opened at 1:7. Received: >"),
        ("name: 'a'\n}", 2, 1, "closes a block that was never opened. Received: }"),
        ("layer {\n clip_param { max: 1 } }", 2, 2, "ClipParameter lacks min. Received: max"),
        ("layer {\n clip_param { } }", 2, 2, "ClipParameter lacks min and max. Received: an empty block"),
        ("name: 'a' \u00e9", 1, 11, "U+00E9"),
        ("[a.b/c: 1", 1, 7, "expected ']' after the name of an extension. Received: :"),
        # Inside of what is passed over:
        ("new {\n a: 1 } }", 2, 9, "closes a block that was never opened"),
        ("new {\n a: ", 2, 5, "expected a value. Received: the end of the file"),
        ("new {\n a: 1", 1, 5, "this block is never closed. Received: {"),
        ("new {\n a: 1 >", 2, 7, "expected '}' to close the block opened at 1:5"),
        ("new {\n a 1 }", 2, 4, "expected ':' or '{'. Received: 1"),
        ("new {\n 'a' }", 2, 2, "expected the name of a field. Received: 'a'"),
        ("new: [1,\n 2 3]", 2, 4, "expected ',' or ']'. Received: 3"),
        ("new: [1,\n 2", 1, 6, "the list that starts here is never closed"),
        ("new: -x", 1, 6, "expected a value. Received: -x"),
        ("new 1", 1, 5, "expected ':' or '{'. Received: 1"),
    ],
)
def test_errors_tell_the_place(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        read_text(text.encode(), NET)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert str(error).startswith(f"{line}:{column}: ")
    assert words.replace("\\\\", "\\") in str(error)
    assert ". Received: " in str(error)


def test_an_outermost_message_must_be_complete() -> None:
    with pytest.raises(PrototxtError, match=r"^1:1: ClipParameter lacks max\. Received: min"):
        read_text(b" min: 1", caffe_pb2.ClipParameter)


# What the schema does not have ----------------------------------------------------------------------------------------


def problem_of(text: str) -> tuple[Any, str]:
    message, problems = read_text(text.encode(), NET)
    assert len(problems) == 1
    return message, str(problems[0])


@pytest.mark.parametrize(
    "value",
    [
        ": 1",
        ": -1.5e3",
        ": -inf",
        ": IDENTIFIER",
        ": 'a' \"b\"",
        ": [1, 'a', [2], { b: 1 }, <c {}>]",
        ": []",
        " {}",
        " <>",
        ": { }",
        " { a: 1; b { c: [], d < e: 'x' > }; 7: 1 [x.y/z] { f: -nan } }",
        " [{ a: 1 }, { }]",
    ],
)
@pytest.mark.parametrize("separator", ["", ";", ","])
def test_unknown_fields_are_passed_over(value: str, separator: str) -> None:
    text = f'layer {{ top: "t"\n  permute{value}{separator} name: "x" }} name: "n"'
    message, problem = problem_of(text)
    assert problem == "2:3: layer 'x': LayerParameter has no field permute, passed over"
    assert equal(message, text_format.Parse('layer { top: "t" name: "x" } name: "n"', NET()))


def test_what_is_passed_over_in_layers_is_kept() -> None:
    text = """
        other: 1
        layer { permute_param { order: 0 order: [2, -1] axis: -inf } pooling_param { ceil_mode: false pool: MEDIAN } }
        layer { name: "plain" }
        layer { param { a: "x\\101" 'y' } param { a: 'C:\\q' } [ext.a] <>; bias_param { filler { b { c: T } } } }
        layers { type: ROI_POOLING layer { pool: -1 } }
        state { phase: NIGHT }
    """
    parsed = parse_text(text, NET(), limits=ReadLimits())
    assert passed_over(parsed) == {
        "layer": [
            {
                "permute_param": [{"order": ["0", "2", "-1"], "axis": ["-inf"]}],
                "pooling_param.ceil_mode": ["false"],
                "pooling_param.pool": ["MEDIAN"],
            },
            {},
            {
                "param.a": ["xAy", r"C:\q"],
                "[ext.a]": [{}],
                "bias_param.filler.b": [{"c": ["T"]}],
            },
        ],
        "layers": [{"type": ["ROI_POOLING"], "layer.pool": ["-1"]}],
    }
    problems = parsed.problems.all()
    assert "no field permute_param," in problems[parsed.unknown["layer"][0]["permute_param"].problems[0]].message
    assert [problems[index].line for index in parsed.unknown["layer"][2]["param.a"].problems] == [5, 5]


def passed_over(parsed: ParsedText) -> dict[str, list[dict[str, list[Value]]]]:
    return {
        name: [{path: kept.values for path, kept in layer.items()} for layer in layers]
        for name, layers in parsed.unknown.items()
    }


def test_lists_where_one_value_belongs_are_passed_over() -> None:
    text = "layer { pooling_param { pad: 1 kernel_size: [2, 3] stride: 4 } }"
    message, problem = problem_of(text)
    assert problem == "1:45: PoolingParameter.kernel_size holds one value, not a list, passed over"
    assert message.layer[0].pooling_param == caffe_pb2.PoolingParameter(pad=1, stride=4)
    assert passed_over(parse_text(text, NET(), limits=ReadLimits())) == {
        "layer": [{"pooling_param.kernel_size": ["2", "3"]}]
    }


@pytest.mark.parametrize(
    ("block", "path", "values"),
    [
        ("pooling_param { pad: 1 kernel_size: 2 kernel_size: 3 stride: 4 }", "pooling_param.kernel_size", ["2", "3"]),
        ("pooling_param { stride: 2 pad: 1 stride: 3 stride: 0x4 }", "pooling_param.stride", ["2", "3", "0x4"]),
        ("pooling_param { pad: [1, 2] pad: 3 }", "pooling_param.pad", ["1", "2", "3"]),
        ("pooling_param { pad: 1 pad: [2, 3] }", "pooling_param.pad", ["1", "2", "3"]),
        ("data_param { backend: LMDB backend: 0 backend: IMAGEDB }", "data_param.backend", ["LMDB", "0", "IMAGEDB"]),
        ("data_param { source: 'a' source: 'b' 'c' }", "data_param.source", ["a", "bc"]),
    ],
)
def test_several_values_of_a_field_that_forks_repeat_are_kept_together(
    block: str, path: str, values: list[str]
) -> None:
    parsed = parse_text(f"layer {{ {block} }}", message := NET(), limits=ReadLimits())
    assert passed_over(parsed) == {"layer": [{path: values}]}
    block_name, _, field = path.partition(".")
    assert not getattr(message.layer[0], block_name).HasField(field)
    with pytest.raises(PrototxtError, match="holds one value, not"):
        parse_text(f"layer {{ {block} }}", NET(), limits=ReadLimits(), strict=True)


def test_several_devices_of_a_solver_are_passed_over() -> None:
    solver, problems = read_text(b"device_id: 1 device_id: 2 device_id: 3", caffe_pb2.SolverParameter)
    assert solver.device_id == 1
    assert [str(problem) for problem in problems] == [
        "1:25: SolverParameter.device_id holds one value, not several, passed over",
        "1:38: SolverParameter.device_id holds one value, not several, passed over",
    ]


def test_unknown_enum_values_are_passed_over() -> None:
    message, problem = problem_of("layer { name: 'p'\n pooling_param { pool: MEDIAN pad: 1 } }")
    assert problem == "2:24: layer 'p': PoolingParameter.PoolMethod has no value MEDIAN, passed over"
    assert not message.layer[0].pooling_param.HasField("pool")
    assert message.layer[0].pooling_param.pad == 1
    assert problem_of("layers { type: 999 }")[1] == "1:16: V1LayerParameter.LayerType has no value 999, passed over"
    assert "has no value -3," in problem_of("state { phase: -3 }")[1]
    message, _ = problem_of("layers { blob_share_mode: [STRICT, LAX, 1] }")
    assert message.layers[0].blob_share_mode == [0, 1]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Name: 'a'", "name"),
        ("layer { convolution_params { } }", "convolution_param"),
        ("layer { convolutionparam { } }", "convolution_param"),
        ("layer { convolution_param { kernal_size: 3 } }", "kernel_size"),
        ("layer { convolution_param { kernelsize: 3 } }", "kernel_size"),
        ("layer { convolution_param { num_outputs: 3 } }", "num_output"),
        ("layer { pooling_param { pool: max } }", "MAX"),
        ("layers { type: INNERPRODUCT }", "INNER_PRODUCT"),
        ("layers { type: CONVOLUTON }", "CONVOLUTION"),
    ],
)
def test_misspelled_names_are_refused_unless_reading_is_lenient(text: str, meant: str) -> None:
    with pytest.raises(PrototxtError, match=re.escape(f" (did you mean {meant}?); lenient=True passes over it. ")):
        parse_text(text, NET(), limits=ReadLimits())
    parsed = parse_text(text, NET(), limits=ReadLimits(), lenient=True)
    assert parsed.problems.all()[0].message.endswith(f" (did you mean {meant}?), passed over")


@pytest.mark.parametrize(
    "text",
    [
        "layer { permute_param { } }",
        "layer { roi_pooling_param { } }",
        "layer { pooling_param { kernel: 3 } }",  # kernel_h or kernel_w
        "layer { pooling_param { ceil_mode: false } }",
        "layers { type: ROI_POOLING }",
        f"{'x' * 100000}: 1",
    ],
)
def test_no_miss_at_all(text: str) -> None:
    problem = problem_of(text)[1]
    assert problem.endswith(", passed over")
    assert "did you mean" not in problem
    assert len(problem) < 200


def test_strings_that_are_not_utf8() -> None:
    message, problems = read_text(b"name: 'a\xffb' # \xff\n", NET)
    assert message.name == "a\ufffdb"
    assert [str(problem) for problem in problems] == [
        "1:7: byte 0xff of NetParameter.name is not UTF-8, replaced by U+FFFD"
    ]
    assert read("data: '\\377\xe9'", caffe_pb2.Datum).data == b"\xff\xc3\xa9"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"name: 'a'\n foo: 1", "2:2: NetParameter has no field foo. Received: foo"),
        (
            b"layer { pooling_param { pool: max } }",
            "1:31: PoolingParameter.PoolMethod has no value max (did you mean MAX?). Received: max",
        ),
        (b"name: '\xff'", "1:7: byte 0xff of NetParameter.name is not UTF-8"),
    ],
)
def test_strict_reading_refuses_what_is_reported(data: bytes, words: str) -> None:
    assert read_text(data, NET, lenient=True)[1]
    with pytest.raises(PrototxtError, match="^" + re.escape(words)):
        read_text(data, NET, strict=True)


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opening", "closing"), [("a {", "}"), ("a: <", ">"), ("[a.b] {", "}")])
def test_nesting(opening: str, closing: str) -> None:
    with pytest.raises(LimitExceeded, match=r"^line 1: over the limit nesting=99\. Received: 100$"):
        read_text((opening * 100 + closing * 100).encode(), NET, limits=ReadLimits(nesting=99))


def test_nesting_of_lists() -> None:
    with pytest.raises(LimitExceeded, match=r"^line 1: over the limit nesting=99\. Received: 100$"):
        read_text(("a: " + "[" * 100 + "]" * 100).encode(), NET, limits=ReadLimits(nesting=99))


def test_nesting_up_to_the_limit() -> None:
    for limit in (5, 200):
        text = "a" + "{ a" * (limit - 1) + " { }" + "}" * (limit - 1)
        read_text(text.encode(), NET, limits=ReadLimits(nesting=limit))
        with pytest.raises(LimitExceeded, match="nesting"):
            read_text(f"a {{ {text} }}".encode(), NET, limits=ReadLimits(nesting=limit))
    with pytest.raises(LimitExceeded, match="nesting"):
        read_text(b"a{" * 1_000_000, NET)


def test_nesting_of_known_blocks() -> None:
    text = b"layer { convolution_param {\n weight_filler { } } }"
    read_text(text, NET, limits=ReadLimits(nesting=3))
    with pytest.raises(LimitExceeded, match=r"^line 2: over the limit nesting=2\. Received: 3$"):
        read_text(text, NET, limits=ReadLimits(nesting=2))


def test_layers_are_counted_wherever_they_are() -> None:
    text = b"net_param {\n layer { }\n layers { }\n layer { }\n }"
    read_text(text, caffe_pb2.SolverParameter, limits=ReadLimits(layers=3))
    with pytest.raises(LimitExceeded, match=r"^line 4: over the limit layers=2\. Received: 3$") as caught:
        read_text(text, caffe_pb2.SolverParameter, limits=ReadLimits(layers=2))
    assert caught.value.metadata == {"limit": "layers", "value": "2", "received": "3", "line": "4"}


def test_fields_are_counted_the_unknown_ones_too() -> None:
    text = b"name: 'a' layer { } layer: [{ }, { }]\n input_dim: [1, 2, 3] new { a: [1, 2] }"
    read_text(text, NET, limits=ReadLimits(fields=13))
    with pytest.raises(LimitExceeded, match=r"^line 2: over the limit fields=12\. Received: 13$"):
        read_text(text, NET, limits=ReadLimits(fields=12))


def test_integers_of_lists_are_counted_and_real_numbers_are_not() -> None:
    text = b"layer { input_param { shape { dim: [1, 2, 3] } } blobs { data: [0.5, 1, 2, 3, 4] data: 5 data: 6 } }"
    read_text(text, NET, limits=ReadLimits(fields=8))
    with pytest.raises(LimitExceeded, match="fields=7"):
        read_text(text, NET, limits=ReadLimits(fields=7))


def test_no_more_problems_than_anybody_reads() -> None:
    data = b"layer { name: 'a' " + b"".join(b"field%d: 1\n" % number for number in range(5000)) + b"}"
    _, problems = read_text(data, NET)
    assert len(problems) == MAX_PROBLEMS + 1
    assert str(problems[-2]).startswith("1000:1: layer 'a': ")
    assert str(problems[-1]) == "4000 more problems, not listed"

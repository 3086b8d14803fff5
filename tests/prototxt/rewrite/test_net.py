"""Nets of all ages: each rule by an example, then any net in any layout."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt import NetDocument, ReadLimits, read_net, read_text, upgrade_text
from filler_server.prototxt.rewrite.syntax import comments, read_entries
from filler_server.prototxt.upgrade.v0 import is_v0

LIMITS = ReadLimits()


def text_of(source: str) -> str:
    """A text upgraded, after a look at whether the net is the right one and needs no upgrade again."""
    upgraded = upgrade_text(source.encode())
    assert (upgraded.kind, upgraded.format, upgraded.needs_upgrade) == ("net", "text", True)
    document = read_net(upgraded.data)
    assert document.net.SerializeToString() == read_net(source.encode()).net.SerializeToString()
    assert document.changes == ()
    again = upgrade_text(upgraded.data)
    assert again.data == upgraded.data
    assert not again.needs_upgrade
    return upgraded.data.decode()


def lost_from(source: str) -> list[str]:
    """Return the fields that are reported as lost."""
    return [str(change) for change in upgrade_text(source.encode()).changes if "lost" in change.message]


def test_v1() -> None:
    source = """# A net.
name: 'n'

# The data.
layers {
  name: "d"; type: DATA, top: "d"  # all of it
  data_param {
    source: "s"  # where
    crop_size: 5  # how large
    batch_size: 0x10
  }
  include: < phase: TRAIN >
}
# The convolution.
layers: {
  name : "c"
  type:  CONVOLUTION    # of course
  bottom: 'd' top: 'c'
  # Rates.
  blobs_lr: 1.   # weights
  blobs_lr: 2e0  # bias
  weight_decay: 1
  convolution_param { num_output: 8   kernel_size: 3 ceil_mode: false }
}
"""
    assert (
        text_of(source)
        == """# A net.
name: 'n'

# The data.
layer {
  name: "d"; type: "Data", top: "d"  # all of it
  data_param {
    source: "s"  # where
    # how large
    batch_size: 0x10
  }
  include: < phase: TRAIN >
  transform_param {
    crop_size: 5
  }
}
# The convolution.
layer: {
  name : "c"
  type:  "Convolution"    # of course
  bottom: 'd' top: 'c'
  # Rates.
  # weights
  # bias
  param {
    lr_mult: 1
    decay_mult: 1
  }
  param {
    lr_mult: 2
  }
  convolution_param { num_output: 8   kernel_size: 3 ceil_mode: false }
}
"""
    )
    assert lost_from(source) == []


def test_v0() -> None:
    source = """input: "x"   # first
input_dim: 1 input_dim: 2
input_dim: 8 input_dim: 8
# Padding.
layers {
  layer { name: "p" type: "padding"
    pad: 2  # wide
  }
  bottom: "x" top: "p"
}
# Convolution.
layers {
  layer {
    name: "c"  # the name
    type: "conv"
    num_output: 4
    kernelsize: 3 # small
    sourcedir: 'here'
  }
  # What it reads.
  bottom: "p"  # padded
  top: "c"
}
"""
    assert (
        text_of(source)
        == """# first
layer {
  name: "input"
  type: "Input"
  top: "x"
  input_param {
    shape {
      dim: 1
      dim: 2
      dim: 8
      dim: 8
    }
  }
}
# Padding.
# wide
# Convolution.
layer {
  # the name
  # small
  name: "c"
  type: "Convolution"
  convolution_param {
    num_output: 4
    pad: 2
    kernel_size: 3
  }
  sourcedir: 'here'
  # What it reads.
  bottom: "x"  # padded
  top: "c"
}
"""
    )
    assert lost_from(source) == []


INPUT = """layer {
  name: "input"
  type: "Input"
  top: "a"
  input_param {
    shape {
      dim: 1
    }
  }
}
"""


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("layers { type: 33 blobs_lr: 2 }", 'layer { type: "Slice" param { lr_mult: 2 } }'),
        ("layers { type: NONE }", 'layer { type: "" }'),
        ("layers { type: ROI_POOLING roi_param { x: 1 } }", 'layer { type: "ROIPooling" roi_param { x: 1 } }'),
        ("layers { type: CONVOLUTION3D blobs_lr: 1 convolution3d_param { x: 1 } }",
         'layer { type: "Convolution3D" param { lr_mult: 1 } convolution3d_param { x: 1 } }'),
        ("layers { type: LOCAL }", 'layer { type: "Local" }'),
        ("layers { type: SMOOTH_L1_LOSS }", 'layer { type: "SmoothL1Loss" }'),
        ("layers { type: NOBODYS_TYPE }", 'layer { type: "NOBODYS_TYPE" }'),
        ('layers { layer { type: "nobodys" num_output: 3 } top: "t" }', 'layer { type: "nobodys" top: "t" }'),
        ("layers { type: ROI type: POOLING }", 'layer { type: "ROI" }'),
        ("layers { type: [RELU] }", 'layer { type: "ReLU" }'),
        ("layers { } layers < > layers: { }", "layer { } layer < > layer: { }"),
        ("layers: [{ type: RELU }, { name: 'a' }]", "layer: [{ type: \"ReLU\" }, { name: 'a' }]"),
        ("layers { param: 'a' param: 'b' blob_share_mode: PERMISSIVE }",
         'layer { param { name: "a" share_mode: PERMISSIVE } param { name: "b" } }'),
        ("layers { blobs_lr: [1, 2] name: 'a' weight_decay: [3] }",
         "layer { name: 'a' param { lr_mult: 1 decay_mult: 3 } param { lr_mult: 2 } }"),
        ("layers { blobs_lr: [] }", "layer { }"),
        ("layers { type: DATA data_param { mirror: true scale: 2 } transform_param { crop_size: 3 } }",
         'layer { type: "Data" data_param { } transform_param { crop_size: 3 scale: 2 mirror: true } }'),
        ("layers { type: DATA data_param { mirror: true } } layers { type: WINDOW_DATA }",
         'layer { type: "Data" data_param { } transform_param { mirror: true } } '
         'layer { type: "WindowData" transform_param { } window_data_param { } }'),
        ("layer { type: 'BatchNorm' param { lr_mult: 1 } param { decay_mult: 0 } param {} }",
         "layer { type: 'BatchNorm' param { lr_mult: 0 decay_mult: 0 } param { decay_mult: 0 lr_mult: 0 } "
         "param { lr_mult: 0 decay_mult: 0 } }"),
        ("layer { type: 'BatchNorm' param: [{ }, { }, { }] }",
         "layer { type: 'BatchNorm' param: [{ lr_mult: 0 decay_mult: 0 }, { lr_mult: 0 decay_mult: 0 }, "
         "{ lr_mult: 0 decay_mult: 0 }] }"),
        ("layers { layer { type: 'relu' name: 'a' } top: 'b' }", "layer { name: \"a\" type: \"ReLU\" top: 'b' }"),
        ("state { } layer { } layers { layer { } } debug_info: true name: 'n'", "layer { } name: 'n'"),
        ("input: 'a'\nlayer { bottom: 'a' }", "layer { bottom: 'a' }"),
        ("input: 'a' input_shape { dim: 1 } fork: 1", INPUT + "fork: 1"),
        ("layer { name: 'l' } input: 'a' input_shape { dim: 1 }", INPUT + "layer { name: 'l' }"),
        ("name: 'n' input: 'a' layer { } input_shape { dim: 1 }",
         "name: 'n' layer { name: \"input\" type: \"Input\" top: \"a\" input_param { shape { dim: 1 } } } layer { }"),
        ("input_shape { dim: 1 } # s\nlayer { name: 'l' }\ninput: 'a' # a\n",
         f"# s\n{INPUT}layer {{ name: 'l' }}\n# a\n"),
    ],
)  # fmt: skip
def test_in_small(source: str, result: str) -> None:
    assert text_of(source) == result


def test_an_input_layer_stands_before_the_comments_of_the_first_layer() -> None:
    source = "name: 'n'\n\n# one\n# two\nlayer { }\ninput: 'a'\ninput_shape { }\n"
    upgraded = text_of(source)
    assert upgraded.startswith("name: 'n'\n\nlayer {\n  name: \"input\"\n")
    assert upgraded.endswith("}\n# one\n# two\nlayer { }\n")


def test_padding_layers_in_a_list() -> None:
    source = """input: 'x'
layers: [
  { layer { name: 'p' type: 'padding' pad: 1 } bottom: 'x' top: 'p' },  # padding
  { layer { name: 'c' type: 'conv' fork: 1 } bottom: 'p' top: 'c' }
]
"""
    upgraded = text_of(source)
    assert upgraded.startswith('# padding\nlayer {\n  name: "c"\n  type: "Convolution"\n  bottom: "x"\n')
    assert lost_from(source) == ["4:36: layer 'c': V0LayerParameter has no field fork, passed over; it is lost"]


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        ("layers {\n name: 'a' prelu_param { } }", "2:12: layer 'a': V1LayerParameter has no field prelu_param"),
        ("layers {\n blob_share_mode: WEIRD }", "2:19: DimCheckMode has no value WEIRD"),
        ("layers { layer { name: 'a' weight_filler {\n mode: 1 } type: 'conv' } }", "2:2: layer 'a': FillerParameter"),
        ("layers { layer { name: 'a'\n convolution_param { } } }", "2:2: layer 'a': V0LayerParameter has no"),
        ("layers { layer { name: 'a' type: 'pool' pool: NONE } }", "1:47: layer 'a': PoolMethod has no value NONE"),
        ("layers { layer { } include { fork: 1 } }", "1:30: NetStateRule has no field fork"),
        ("layers { layer { } }\nlayer { name: 'a' fork: 1 }", "2:19: layer 'a': LayerParameter has no field fork"),
        ("layers { layer { type: 'padding' fork: 1 } top: 'a' }", "1:34: V0LayerParameter has no field fork"),
    ],
)  # fmt: skip
def test_what_cannot_stay_is_reported(source: str, lost: str) -> None:
    text_of(source)
    (change,) = lost_from(source)
    assert change.replace("V0LayerParameter.", "").replace("V1LayerParameter.", "").startswith(lost)
    assert change.endswith("; it is lost")


def scalar(name: str, *values: str) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.just(name), st.sampled_from(values))


def block(name: str, *fields: st.SearchStrategy[tuple[str, object]]) -> st.SearchStrategy[tuple[str, object]]:
    """A block with some of these fields, in any order, and maybe one of a fork among them."""
    forks = st.one_of(scalar("fork", "1", "'f'", "[1, 2]", "{ x: 1 # f\n }"), scalar("[my.fork]", "FORK"))
    some = st.tuples(*(st.one_of(st.none(), one) for one in (*fields, forks))).map(
        lambda found: [one for one in found if one is not None]
    )
    return st.tuples(st.just(name), some.flatmap(st.permutations))


FILLER = block("weight_filler", scalar("type", '"xavier"'), scalar("std", "0.1", ".5", "1e-2f"))
DATA = ("data_param", scalar("source", "'s'"), scalar("crop_size", "5", "0x5"), scalar("mirror", "true", "1", "f"),
        scalar("scale", "0.5", "nan"), scalar("mean_file", '"m"' " # m\n" "'n'"))  # fmt: skip
V1_LAYER = block(
    "layers",
    scalar("name", "'a'", '"b" # quoted\n"c"'),
    scalar("type", "CONVOLUTION", "RELU", "4", "DATA", "IMAGE_DATA", "FORKED"),
    scalar("bottom", "'a'", "['a', # second\n'b']"),
    scalar("top", "'a'"),
    scalar("blobs_lr", "1", "[1, 2.5]"),
    scalar("blobs_lr", "0", "-1"),
    scalar("weight_decay", "1", "[ ]", "[1, 0 # none\n]"),
    scalar("param", "'p'"),
    scalar("blob_share_mode", "STRICT", "PERMISSIVE"),
    block("convolution_param", scalar("num_output", "3"), FILLER, scalar("kernel_size", "3", "[3, 3]")),
    block(*DATA),
    block("image_data_param", scalar("source", "'s'"), scalar("mirror", "1")),
    block("transform_param", scalar("scale", "2"), scalar("mirror", "false")),
    block("include", scalar("phase", "TEST")),
)
V0_LAYER = block(
    "layers",
    block(
        "layer",
        scalar("name", "'a'"),
        scalar("type", "'conv'", "'pool'", "'data'", "'relu'"),
        scalar("num_output", "3"),
        FILLER,
        scalar("blobs_lr", "1"),
        scalar("weight_decay", "0"),
        scalar("cropsize", "3"),
    ),
    scalar("bottom", "'x'"),
    scalar("top", "'x'"),
)
PADDING = st.tuples(
    st.just("layers"),
    st.tuples(
        block("layer", scalar("name", "'p'"), scalar("pad", "2")).map(
            lambda layer: ("layer", [("type", "'padding'"), *layer[1]])
        ),
        st.just(("bottom", "'x'")),
        st.just(("top", "'p'")),
    ),
)
PADDED = st.just(("layers", [("layer", [("type", "'conv'")]), ("bottom", "'p'"), ("top", "'y'")]))
V2_LAYER = block(
    "layer",
    scalar("name", "'a'"),
    scalar("type", "'BatchNorm'", "'Convolution'"),
    *[block("param", scalar("lr_mult", "0", "1"), scalar("decay_mult", "0", "2"), scalar("name", "'p'"))] * 3,
    block("convolution_param", scalar("num_output", "3")),
)
INPUTS = st.sampled_from(
    [
        [],
        [("input", "'x'")],
        [("input", "'x'"), ("input_dim", "[1, 2, # dims\n 3, 4]")],
        [("input", "'x'"), *[("input_dim", "1")] * 4],
        [("input", "['x', 'y']"), ("input_shape", [("dim", "2")]), ("input_shape", [("dim", "[3, 4]")])],
        [("input_shape", [("fork", "2")]), ("input", "'x'")],
    ]
)
REST = st.lists(st.sampled_from([("name", "'n'"), ("fork", "1"), ("force_backward", "true")]), max_size=3, unique=True)


@st.composite
def net_texts(draw: st.DrawFn) -> str:
    """The text of a net of any age, with comments and spaces wherever they may stand."""
    layer = draw(st.sampled_from([V1_LAYER, V0_LAYER, V2_LAYER]))
    layers = draw(st.lists(layer, min_size=1, max_size=3))
    inputs = draw(INPUTS)
    if layer is V0_LAYER:
        inputs = [("input", "'x'"), *[field for field in inputs if field[0] == "input_dim"]]
        layers += draw(st.sampled_from([[], [draw(PADDING), draw(PADDED)]]))
    position = draw(st.integers(0, len(layers)))
    fields = [*draw(REST), *layers[:position], *inputs, *layers[position:]]
    gaps = st.sampled_from([" ", " ", "\n", "\n  ", "\r\n", "\t", " # a comment\n", "\n# it's\n\t"])
    numbers = iter(range(1_000_000))

    def gap() -> str:
        return draw(gaps).replace("# ", f"# {next(numbers)} ")

    def text(name: str, value: object) -> str:
        if isinstance(value, str):
            colon = "" if value[0] == "{" else ":"
            return f"{name}{colon}{gap()}{value}"
        assert isinstance(value, list | tuple)
        opening, closing = draw(st.sampled_from(["{}", "<>"]))
        colon = draw(st.sampled_from(["", ":"]))
        return f"{name}{colon}{gap()}{opening}{gap()}{body(value)}{closing}"

    def body(fields: object) -> str:
        assert isinstance(fields, list | tuple)
        return "".join(text(*field) + draw(st.sampled_from(["", "", ",", ";"])) + gap() for field in fields)

    return body(fields)


def kept_pieces(source: str) -> list[str]:
    """Fields that no upgrade of a V1 or current net has to do with, as they are written, in their order."""
    entries, _ = read_entries(source, LIMITS)
    layers = [entry for entry in entries if entry.name in ("layer", "layers")]
    fields = [child for layer in layers for block in layer.blocks for child in block.entries]
    kept = [field for field in fields if field.name in ("name", "top", "convolution_param", "include", "fork")]
    kept += [entry for entry in entries if entry.name in ("name", "fork", "force_backward")]
    return [source[entry.start : entry.value_end] for entry in sorted(kept, key=lambda entry: entry.start)]


@settings(max_examples=200, deadline=None)
@given(net_texts())
def test_any_net_in_any_layout(source: str) -> None:
    document = read_net(source.encode())
    upgraded = upgrade_text(source.encode())
    text = upgraded.data.decode()
    result = read_net(upgraded.data)
    assert result.net.SerializeToString() == document.net.SerializeToString()
    assert result.changes == ()
    assert upgrade_text(upgraded.data).data == upgraded.data
    assert upgraded.needs_upgrade == bool(upgraded.changes) == (text != source)
    assert sorted(comments(text, 0, len(text))) == sorted(comments(source, 0, len(source)))
    if is_v0(read_text(source.encode(), caffe_pb2.NetParameter)[0]):
        return
    position = 0
    for piece in kept_pieces(source):
        position = text.index(piece, position) + len(piece)
    if not any("lost" in change.message for change in upgraded.changes):
        assert values_of(document) == values_of(result)


def values_of(document: NetDocument) -> list[dict[str, object]]:
    """Return the fields passed over in each layer; a new Input layer has none."""
    return [
        {path: passed_over.values for path, passed_over in unknown.items() if path != "type"}
        for unknown in document.unknown
    ]

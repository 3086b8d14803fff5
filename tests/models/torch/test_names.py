"""Names of strangers in a written source: identifiers, strings and comments, and nothing that runs."""

import ast
import keyword
import subprocess
import sys

import numpy as np
import pytest

from filler_client import FillerClient
from filler_server.models.graph import Graph, graph
from filler_server.models.torch import torch_module
from filler_server.models.torch.literals import comment, literal
from filler_server.models.torch.names import GLOBALS, MODULE_ATTRIBUTES, Identifiers
from filler_server.tensors import constant

HOSTILE = [
    "conv1/7x7_s2",
    'a"b',
    "a'b",
    "x\nimport os",
    "x\\",
    'x"""',
    "x'''",
    '\\"""\\',
    "x; import os",
    "__class__",
    "__init__",
    "self",
    "lambda",
    "None",
    "print",
    "forward",
    "training",
    "loss",
    "torch",
    "nn",
    "F",
    "Tensor",
    "softmax_with_loss",
    "load",
    "1",
    "0x1F",
    "a.b",
    "..",
    ".",
    "-",
    "_",
    "{0}",
    "%s",
    "\ufb01",
    "\u00e9",
    "\u2028x",
    "\u202ex",
    "\x1b[31m",
    "\U0001f600",
    "x" * 3000,
    "weight",
    "a@b",
    "a#2",
]


def quoted(text: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in text.encode())


def net(name: str) -> Graph:
    layers = f"""
name: "{quoted(name)}"
layer {{ name: "in" type: "Input" top: "{quoted(name)}" input_param {{ shape {{ dim: 2 dim: 3 dim: 4 dim: 4 }} }} }}
layer {{ name: "{quoted(name)}" type: "Convolution" bottom: "{quoted(name)}" top: "y"
  convolution_param {{ num_output: 3 kernel_size: 3 }} }}
layer {{ name: "{quoted(name)}" type: "ReLU" bottom: "y" top: "y" }}
layer {{ name: "{quoted(name)} 2" type: "BatchNorm" bottom: "y" top: "{quoted(name)} top" }}
"""
    plan = FillerClient.embedded().plan_net(layers, phase="TEST")
    tensors = {blob.name: constant(blob.name, blob.known_shape, np.dtype(np.float32), 1) for blob in plan.blobs}
    return graph(plan, tensors)


def pieces(source: str) -> list[str]:
    """The kinds of all pieces of a source, whatever the names in it, but for the table of names."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="keep_caffe_names")):
                node.args = []
    return [type(node).__name__ for node in ast.walk(tree)]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_source_is_the_same_but_for_names(name: str) -> None:
    written = torch_module(net(name))
    assert pieces(written.source()) == pieces(torch_module(net("a/b")).source())
    assert all(line.isprintable() for line in written.source().split("\n"))
    for node in ast.walk(ast.parse(written.source())):
        match node:
            case ast.Name(id=found) | ast.Attribute(attr=found) | ast.arg(arg=found):
                assert found.isascii()
                assert not keyword.iskeyword(found)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_the_names_of_the_state_dict_are_those_of_the_layers(name: str) -> None:
    entries = [tensor.name for tensor in torch_module(net(name)).tensors]
    assert entries == [
        f"{name}.weight",
        f"{name}.bias",
        f"{name} 2.running_mean",
        f"{name} 2.running_var",
    ]


def test_identifiers_differ() -> None:
    identifiers = Identifiers({"taken"})
    made = [identifiers.unique(name, "blob") for name in ("a/b", "a_b", "a.b", "a_b_2", "", "", "taken", "3", "for")]
    assert made == ["a_b", "a_b_2", "a_b_3", "a_b_2_2", "blob", "blob_2", "taken_2", "blob_3", "for_2"]


def test_many_names_that_resemble_each_other_take_little_time() -> None:
    identifiers = Identifiers()
    names = {identifiers.unique("/" * number, "layer") for number in range(20_000)}
    assert len(names) == 20_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (float("inf"), 'float("inf")'),
        (float("nan"), 'float("nan")'),
        (-0.0, "-0.0"),
        (1e-10, "1e-10"),
        (True, "True"),
        (None, "None"),
        (3, "3"),
        ((2,), "(2,)"),
        ((), "()"),
        ('a"\\\n', '"a\\"\\\\\\n"'),
    ],
)
def test_literals(value: object, text: str) -> None:
    assert literal(value) == text


def test_there_is_no_literal_for_anything_else() -> None:
    with pytest.raises(TypeError, match="no literal for list"):
        literal([1])


def test_a_comment_is_one_line() -> None:
    assert comment("a\nimport os\r\x0c\u2028") == "# a\\nimport os\\r\\x0c\\u2028"


@pytest.mark.frameworks
def test_the_reserved_attributes_are_those_of_a_module() -> None:
    torch = pytest.importorskip("torch")
    public = {name for name in dir(torch.nn.Module()) if not name.startswith("_")}
    assert public <= MODULE_ATTRIBUTES
    assert {"nn", "torch", "F", "Tensor"} <= GLOBALS


def test_writing_needs_no_pytorch() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from filler_server.models.torch import torch_module\n"
        "from filler_client import FillerClient\n"
        "from filler_server.models.graph import graph\n"
        'plan = FillerClient.embedded().plan_net(\'layer { name: "r" type: "ReLU" bottom: "x" top: "y" } '
        'input: "x" input_shape { dim: 1 }\')\n'
        "assert 'nn.ReLU()' in torch_module(graph(plan, {})).source()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

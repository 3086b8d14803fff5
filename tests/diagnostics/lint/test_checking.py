"""Files that are odd, and nets that Caffe refuses in parts."""

import pytest
from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import NetParameter, SolverParameter
from tests.diagnostics.lint.looking import DATA, LABEL, codes, look, product

ODD = 'num_output: 4 weight_filler { type: "xavier" std: 0.1 }'


@pytest.mark.parametrize(
    "data",
    [b"", b"layer {", b"\x00\x01\x02", b"layer { name: 3 }", b"\xff\xfe" * 20, "layer { name: 'ä".encode(), b"}"],
)
def test_what_cannot_be_read_is_one_finding(data: bytes) -> None:
    found = look(data)
    assert [finding.code for finding in found] in (["FIL001"], [])
    assert bool(found) == (data != b"")


def test_the_place_of_what_cannot_be_read() -> None:
    (finding,) = look(f"{DATA}layer {{ name: 3 }}\n")
    assert (finding.line, finding.column, finding.severity) == (2, 15, "error")


def test_a_refused_layer_hides_no_other() -> None:
    text = DATA + product("bad", "data", "num_output: 0") + product("ip", "bad", ODD) + product("late", "data", ODD)
    assert codes(text) == ["FIL036", "FIL005", "FIL005"]


def test_layers_that_are_refused_twice_are_left_out() -> None:
    text = DATA + product("ip", "data", ODD) + product("other", "data", ODD).replace('top: "other"', 'top: "ip"')
    assert codes(text) == ["FIL005", "FIL036", "FIL005"]


@pytest.mark.parametrize("name", ['name: "ip"', ""])
def test_of_layers_of_one_name_on_one_line_the_one_at_fault_is_told(name: str) -> None:
    outputs = ["num_output: 4", "num_output: 0", "num_output: 5", "num_output: 0"]
    layers = [
        product(f"ip{index}", "data", output).replace(f'name: "ip{index}"', name).replace("\n", " ")
        for index, output in enumerate(outputs)
    ]
    text = DATA + " ".join(layers)
    assert [finding.column for finding in look(text, "FIL036")] == [
        len(" ".join([*layers[:index], ""])) + 1 for index in (1, 3)
    ]


def test_many_refused_layers_take_bounded_work() -> None:
    text = DATA + "".join(product(f"ip{number}", "data", "num_output: 0") for number in range(40))
    assert 1 <= len(look(text, "FIL036")) <= 40


def test_a_layer_with_include_and_exclude_is_told_and_hides_no_other() -> None:
    rules = "include { phase: TRAIN } exclude { phase: TEST }"
    text = DATA + product("ip", "data", ODD, rules) + product("next", "ip", ODD)
    assert codes(text) == ["FIL036", "FIL005", "FIL005"]
    assert "not both" in look(text, "FIL036")[0].message


def test_a_layer_with_more_bottoms_than_its_type_takes_is_told() -> None:
    text = DATA + LABEL + 'layer { name: "relu" type: "ReLU" bottom: "data" bottom: "label" top: "relu" }\n'
    (finding,) = look(text, "FIL035")
    assert (finding.layer, finding.severity) == ("relu", "note")
    assert "ReLU Layer takes 1 bottom blob(s) as input" in finding.message


def test_missing_bottoms_hide_nothing() -> None:
    text = product("ip", "nothing", ODD) + product("next", "ip", ODD)
    assert codes(text) == ["FIL030", "FIL005", "FIL005"]
    (finding,) = look(DATA + product("ip", "dat", ODD), "FIL030")
    assert finding.message == "no layer makes 'dat' (did you mean 'data'?)"


def test_what_is_made_further_down_is_told() -> None:
    text = DATA + product("ip", "late", ODD) + product("late", "data", ODD)
    assert "is made only further down, by layer 'late'" in look(text, "FIL030")[0].message


def test_unknown_shapes_are_no_findings() -> None:
    data = 'layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: "x" batch_size: 8 } }\n'
    text = data + product("ip", "data", 'num_output: 4 weight_filler { type: "gaussian" std: 0.5 }')
    text += 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }\n'
    assert codes(text) == []


def test_a_message_of_both_phases_is_told_once() -> None:
    assert codes(DATA + product("ip", "data", ODD)) == ["FIL005"]


def test_stages_are_looked_at() -> None:
    layer = product(
        "ip",
        "data",
        'num_output: 4 weight_filler { type: "positive_unitball" } bias_filler { type: "positive_unitball" }',
        'include { stage: "deploy" }',
    )
    assert codes(DATA + layer) == ["FIL016"]


def test_a_stage_that_is_meant_for_one_phase_is_looked_at_in_that() -> None:
    data = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [8, 256] } } %s }\n'
    own = data % "include { phase: TRAIN }" + data % 'include { phase: TEST not_stage: "deploy" }'
    assert codes(own + data % 'include { stage: "deploy" }' + product("ip", "data", "num_output: 4")) == []
    # Two of three layers make the same top in both phases.
    twice = data % 'include { stage: "deploy" }'
    assert codes(own + twice + twice + product("ip", "data", "num_output: 4")) == ["FIL036"]


def test_binary_nets_have_findings_without_places() -> None:
    net = text_format.Parse(DATA + product("ip", "data", ODD), NetParameter())
    (finding,) = look(net.SerializeToString())
    assert (finding.code, finding.line, finding.column, finding.layer) == ("FIL005", None, None, "ip")


def test_binary_solvers() -> None:
    solver = SolverParameter(net="x.prototxt", lr_policy="fixed", base_lr=0.1)
    assert codes(solver.SerializeToString()) == ["FIL038"]


def test_old_nets_are_looked_at_as_well() -> None:
    text = (
        'input: "data" input_dim: 8 input_dim: 3 input_dim: 9 input_dim: 9\n'
        'layers {\n  layer { name: "conv" type: "conv" num_output: 4 kernelsize: 3\n'
        '    weight_filler { type: "xavier" std: 0.5 } }\n  bottom: "data" top: "conv"\n}\n'
    )
    found = look(text)
    assert {finding.code for finding in found} == {"FIL031", "FIL005"}
    assert {finding.line for finding in found if finding.code == "FIL005"} == {2}


def test_lists_of_layers_have_their_own_places() -> None:
    text = f"layer: [\n  {DATA.removeprefix('layer ')},\n  {product('ip', 'data', ODD).removeprefix('layer ')}]\n"
    (finding,) = look(text)
    assert (finding.code, finding.layer) == ("FIL005", "ip")


def test_strange_names_stay_in_the_message() -> None:
    layer = product("\\n\\033[31m\\342\\202\\254", "data", ODD)
    (finding,) = look(DATA + layer)
    assert finding.layer == "\n\x1b[31m€"
    assert "\x1b" not in str(finding)


def test_a_net_of_nothing_and_one_of_data_alone() -> None:
    assert codes(DATA) == codes(DATA + LABEL) == codes('name: "nothing"') == []


def test_inline_values_are_not_judged() -> None:
    text = DATA + product(
        "ip", "data", "num_output: 1 bias_term: false", "blobs { shape { dim: [1, 256] } data: %s }" % ([0.5] * 256)
    )
    assert codes(text + product("next", "ip", 'num_output: 4 weight_filler { type: "xavier" }')) == []


def test_so_many_findings_are_listed_as_anybody_reads() -> None:
    text = DATA + "".join(product(f"ip{number}", "data", ODD) for number in range(1100))
    found = look(text, "FIL005")
    assert len(found) == 1001
    assert sum("the rest is not listed" in finding.message for finding in found) == 1


def test_long_ways_and_many_bottoms_take_no_time_of_their_square() -> None:
    relu = 'layer { name: "r%d" type: "ReLU" bottom: "%s" top: "t%d" }\n'
    text = DATA + "".join(relu % (n, f"t{n - 1}" if n else "data", n) for n in range(1500))
    bottoms = " ".join(f'bottom: "t{n}"' for n in range(1500))
    assert look(text + f'layer {{ name: "sum" type: "Eltwise" {bottoms} top: "sum" }}\n', "FIL0") == []


@pytest.mark.parametrize(
    ("kind", "hint"), [("Adamm", " (did you mean 'Adam'?)"), ("sgd", " (did you mean 'SGD'?)"), ("X", "")]
)
def test_an_unknown_solver_type_names_the_near_one(kind: str, hint: str) -> None:
    (found,) = look(f'type: "{kind}"\nbase_lr: 0.1 lr_policy: "fixed" net: "net.prototxt"', "FIL059")
    assert (found.severity, found.message) == ("error", f"there is no solver type '{kind}'{hint}")


@pytest.mark.parametrize("kind", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam", "AdamW"])
def test_known_solver_types(kind: str) -> None:
    assert look(f'type: "{kind}"\nbase_lr: 0.1 lr_policy: "fixed" net: "net.prototxt"', "FIL059") == []


@pytest.mark.parametrize(
    ("kind", "meant"),
    [("Softmax_Loss", "SoftmaxWithLoss"), ("Swishh", "Swish"), ("Convoluton", "Convolution"), ("Scael", "Scale")],
)
def test_a_type_with_a_near_name_is_an_error(kind: str, meant: str) -> None:
    (found,) = look(f'{DATA}layer {{ name: "x" type: "{kind}" bottom: "data" top: "x" }}\n', "FIL033", "FIL035")
    assert (found.code, found.severity) == ("FIL033", "error")
    assert found.message == f'layer type: there is no "{kind}" (did you mean {meant}?)'


@pytest.mark.parametrize("kind", ['"Re" "LU"', '"Re"  # "U"\n "LU"', r'"\x52eLU"', "'Re'\"LU\""])
def test_a_type_in_several_strings_is_read_as_one(kind: str) -> None:
    relu = f'layer {{ name: "relu" type: {kind} bottom: "data" top: "relu" }}\n'
    assert codes(DATA + relu) == []
    (finding,) = look(DATA + relu.replace("LU", "LLU").replace("Re", "Im2"), "FIL033", "FIL035")
    assert finding.layer == "relu"


@pytest.mark.parametrize("kind", ["NLLLoss", "SELU2", "Convolution2D", "BatchNorm2", "PELU", "QuantumPooling"])
def test_a_type_of_a_fork_is_a_note_without_a_near_name(kind: str) -> None:
    (found,) = look(f'{DATA}layer {{ name: "x" type: "{kind}" bottom: "data" top: "x" }}\n', "FIL033", "FIL035")
    assert (found.code, found.severity, found.message) == ("FIL035", "note", f"unknown layer type '{kind}'")


@pytest.mark.parametrize(
    ("kind", "block"),
    [("ReLU", "pooling_param { kernel_size: 2 }"), ("AbsVal", "relu_param { negative_slope: 1 }")],
)
def test_a_block_of_another_type_is_found(kind: str, block: str) -> None:
    (found,) = look(f'{DATA}layer {{ name: "x" type: "{kind}" bottom: "data" top: "x" {block} }}\n', "FIL060")
    assert found.message.startswith(f"{block.split()[0]} does nothing in a layer of type {kind}")


@pytest.mark.parametrize(
    ("kind", "block"),
    [
        ("Im2col", "convolution_param { kernel_size: 1 }"),
        ("CuDNNReLU", "relu_param { negative_slope: 1 }"),
        ("Data", "transform_param { scale: 1 }"),
        ("EuclideanLoss", "loss_param { normalize: false }"),
        ("Magic", "relu_param { negative_slope: 1 }"),
    ],
)
def test_a_block_that_is_read_elsewhere_is_no_finding(kind: str, block: str) -> None:
    assert look(f'{DATA}layer {{ name: "x" type: "{kind}" bottom: "data" top: "x" {block} }}\n', "FIL060") == []


def _in_phases(train: str, test: str) -> str:
    layers = (("TRAIN", train), ("TEST", test))
    return IMAGES + "".join(
        f'layer {{ name: "x" include {{ phase: {phase} }} bottom: "data" top: "x" {fields} }}\n'
        for phase, fields in layers
    )


IMAGES = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [8, 4, 6, 6] } } }\n'


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ('type: "ReLU"', 'type: "ReLU" relu_param { negative_slope: 0.5 }', "negative_slope 0.5 in TEST, 0.0 in TRAIN"),
        ('type: "ReLU"', 'type: "TanH"', "type TanH in TEST, ReLU in TRAIN"),
        (
            'type: "Pooling" pooling_param { kernel_size: 2 }',
            'type: "Pooling" pooling_param { kernel_size: 2 pool: AVE }',
            "method ave in TEST, max in TRAIN",
        ),
        ('type: "LRN"', 'type: "LRN" lrn_param { local_size: 3 }', "local_size 3 in TEST, 5 in TRAIN"),
    ],
)
def test_layers_without_weights_that_compute_otherwise(train: str, test: str, message: str) -> None:
    (found,) = look(_in_phases(train, test), "FIL040")
    assert found.message == message


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ('type: "Dropout"', 'type: "Dropout" dropout_param { dropout_ratio: 0.3 }'),
        ('type: "BatchNorm"', 'type: "BatchNorm" batch_norm_param { use_global_stats: true }'),
        ('type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 }',) * 2,
        ('type: "Reshape" reshape_param { shape { dim: [8, -1] } }', 'type: "Flatten"'),
    ],
)
def test_what_a_phase_itself_changes_is_no_finding(train: str, test: str) -> None:
    assert look(_in_phases(train, test), "FIL040") == []

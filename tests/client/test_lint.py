"""`filler_client.lint` and `fix`: files, folders and solvers with their nets."""

from pathlib import Path

import pytest

import filler_client
from caffe_filler.errors import InvalidArgument
from tests.diagnostics.lint.looking import DATA, product

ODD = DATA + product("ip", "data", 'num_output: 4 weight_filler { type: "xavier" std: 0.1 }')
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" random_seed: 1\n'


def found(nets: filler_client.LintLike, **options: list[str]) -> list[tuple[str, str]]:
    return [(Path(finding.file).name, finding.code) for finding in filler_client.lint(nets, **options)]


def test_text_bytes_paths_and_several(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(ODD)
    assert found(ODD) == found(ODD.encode()) == [("net", "FIL005")]
    assert found(path) == [("net.prototxt", "FIL005")]
    # A file that is given twice is told of once.
    assert found([path, ODD, path]) == [("net.prototxt", "FIL005"), ("net", "FIL005")]
    assert found([]) == []


def test_a_folder_is_its_nets_and_solvers(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "net.prototxt").write_text(ODD)
    (tmp_path / "labels.prototxt").write_text('item { name: "none" label: 0 }')
    (tmp_path / "broken.prototxt").write_text("layer {")
    (tmp_path / "other.txt").write_text("layer {")
    assert found(tmp_path) == [("broken.prototxt", "FIL001"), ("net.prototxt", "FIL005")]


def test_a_solver_brings_its_nets(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(ODD)
    solver = tmp_path / "solver.prototxt"
    solver.write_text(SOLVER.replace("random_seed: 1", ""))
    assert found(solver) == [("solver.prototxt", "FIL038"), ("net.prototxt", "FIL005")]
    assert found(tmp_path) == [("net.prototxt", "FIL005"), ("solver.prototxt", "FIL038")]


def test_files_of_a_solver_that_are_not_there(tmp_path: Path) -> None:
    solver = tmp_path / "solver.prototxt"
    solver.write_text(SOLVER)
    (finding,) = filler_client.lint(solver)
    assert finding.code == "FIL050"
    assert "no such file from here or from a folder above" in finding.message


def test_train_and_test_nets_in_files_of_their_own(tmp_path: Path) -> None:
    test = DATA + product("ip", "data", 'num_output: 5 weight_filler { type: "xavier" }')
    (tmp_path / "train.prototxt").write_text(test.replace("output: 5", "output: 4"))
    (tmp_path / "test.prototxt").write_text(test)
    solver = tmp_path / "solver.prototxt"
    nets = 'train_net: "train.prototxt" test_net: "test.prototxt" test_iter: 1 test_interval: 1'
    solver.write_text(SOLVER.replace('net: "net.prototxt"', nets))
    assert found(solver) == [("test.prototxt", "FIL039")]


def test_trained_weights_of_a_solver_make_fillers_idle(tmp_path: Path) -> None:
    net = DATA + 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 8 } } }\n'
    net += product("ip", "data", "num_output: 4") + product("last", "ip", "num_output: 4")
    net += 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "last" bottom: "label" top: "loss" }\n'
    (tmp_path / "net.prototxt").write_text(net)
    solver = tmp_path / "solver.prototxt"
    solver.write_text(SOLVER)
    assert found(solver) == [("net.prototxt", "FIL002")]
    solver.write_text(SOLVER + 'weights: "trained.caffemodel"')
    assert found(solver) == []


def test_nets_inside_of_a_solver() -> None:
    solver = f'net_param {{ {ODD} }} base_lr: 0.1 lr_policy: "fixed" random_seed: 1'
    assert found(solver) == [("net:net_param", "FIL005")]


def test_select_ignore_and_inputs() -> None:
    data = 'layer { name: "d" type: "Data" top: "data" data_param { source: "x" batch_size: 8 } }\n'
    text = data + product("one", "data", 'num_output: 4 weight_filler { type: "gaussian" sparse: 8 }')
    assert found(text, select=["FIL018"]) == [("net", "FIL018")]
    assert found(text, ignore=["FIL018"]) == []
    net = 'layer { name: "d" type: "Input" top: "data" }\n' + product(
        "ip", "data", 'num_output: 1 weight_filler { type: "xavier" }'
    )
    net += 'layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" softmax_param { axis: 0 } }\n'
    assert [finding.code for finding in filler_client.lint(net, inputs={"data": (1, 64)})] == ["FIL042"]
    assert [finding.code for finding in filler_client.lint(net, inputs={"data": (None, 64)})] == []
    with pytest.raises(InvalidArgument, match="did you mean 'data'"):
        filler_client.lint(net, inputs={"dta": (1, 64)})
    with pytest.raises(InvalidArgument, match="select: no rule has a code"):
        filler_client.lint(net, select=["X"])


def test_what_is_not_there_or_not_a_net(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        filler_client.lint(tmp_path / "none.prototxt")
    with pytest.raises(InvalidArgument):
        filler_client.lint(3)  # type: ignore[arg-type]


def test_fix_returns_the_file_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(ODD)
    fixed = filler_client.fix(path)
    assert fixed.data.decode() == ODD.replace(" std: 0.1", "")
    assert [finding.code for finding in fixed.findings] == ["FIL005"]
    assert path.read_text() == ODD
    assert filler_client.fix(ODD, ignore=["FIL005"]).data.decode() == ODD


def test_the_rules_explain_themselves() -> None:
    rule = filler_client.lint_rules()["FIL005"]
    assert (rule.name, rule.fixes) == ("ignored-filler-field", True)
    assert rule.page.startswith("# FIL005")


def test_a_shape_is_given_once_for_nets_with_batches_of_their_own() -> None:
    data = (
        'layer { name: "%s" type: "Data" top: "data" top: "label" include { phase: %s } data_param { batch_size: %d } }'
    )
    net = "\n".join(
        [
            data % ("train", "TRAIN", 8),
            data % ("test", "TEST", 4),
            'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"',
            '  inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }',
            'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }',
        ]
    )
    assert [finding.code for finding in filler_client.lint(net, inputs={"data": (8, 1, 10, 10)})] == []

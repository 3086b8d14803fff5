from collections.abc import Callable

import pytest
from google.protobuf import text_format

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, NetError
from caffe_filler.interface import interface
from filler_server.net.plan import NetPlan
from filler_server.net.state import StateRules, net_state


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ("", True),
        ("phase: TRAIN", True),
        ("phase: TEST", False),
        ("min_level: 3", True),
        ("min_level: 4", False),
        ("max_level: 3", True),
        ("max_level: 2", False),
        ("min_level: -1 max_level: 3 phase: TRAIN", True),
        ('stage: "a"', True),
        ('stage: "a" stage: "b"', True),
        ('stage: "a" stage: "c"', False),
        ('not_stage: "c"', True),
        ('not_stage: "c" not_stage: "b"', False),
        ('stage: "a" not_stage: "b"', False),
        ("phase: TRAIN max_level: 2", False),
    ],
)
def test_rule(rule: str, met: bool) -> None:
    state = caffe_pb2.NetState(phase=caffe_pb2.TRAIN, level=3, stage=["a", "b"])
    assert StateRules(state).meets(text_format.Parse(rule, caffe_pb2.NetStateRule())) is met


def test_phase_and_level_are_overwritten_and_stages_added() -> None:
    own = caffe_pb2.NetState(phase=caffe_pb2.TRAIN, level=7, stage=["own"])
    state = net_state(own, phase=caffe_pb2.TEST, level=0, stages=["more"])
    assert (state.phase, state.level, list(state.stage)) == (caffe_pb2.TEST, 0, ["own", "more"])
    state = net_state(own, phase=None, level=None, stages=())
    assert (state.phase, state.level, list(state.stage)) == (caffe_pb2.TRAIN, 7, ["own"])
    assert list(own.stage) == ["own"]
    assert net_state(caffe_pb2.NetState(), phase=None, level=0, stages=()).phase == caffe_pb2.TEST


@pytest.mark.parametrize("wrong", [{"phase": 2}, {"level": 1 << 31}, {"stages": [3]}])
def test_a_state_that_cannot_be(wrong: dict[str, object]) -> None:
    options: dict[str, object] = {"phase": None, "level": 0, "stages": (), **wrong}
    with pytest.raises(InvalidArgument, match=r"Received: phase=.*level=.*stages="):
        net_state(caffe_pb2.NetState(), **options)  # type: ignore[arg-type]


RULES = """
    layer { name: "train" type: "Input" top: "a" include { phase: TRAIN } }
    layer { name: "test" type: "Input" top: "a" include { phase: TEST stage: "x" } include { min_level: 2 } }
    layer { name: "not" type: "Input" top: "b" exclude { phase: TEST } exclude { stage: "x" } }
    layer { name: "always" type: "Input" top: "c" }
"""


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"phase": caffe_pb2.TRAIN}, ["train", "not", "always"]),
        ({"phase": caffe_pb2.TRAIN, "stages": ["x"]}, ["train", "always"]),
        ({"phase": caffe_pb2.TEST}, ["always"]),
        ({"phase": caffe_pb2.TEST, "stages": ["x"]}, ["test", "always"]),
        ({"phase": caffe_pb2.TEST, "level": 2}, ["test", "always"]),
    ],
)
def test_layers_of_a_state(plan: Callable[..., NetPlan], options: dict[str, object], names: list[str]) -> None:
    net = plan(RULES, **options)
    assert [layer.name for layer in net.layers] == names
    assert net.state.phase == options["phase"]


def test_both_kinds_of_rules_are_refused_even_where_they_would_not_matter(plan: Callable[..., NetPlan]) -> None:
    text = 'layer { name: "c" type: "Input" top: "a" include { phase: TRAIN } exclude { phase: TEST } }'
    with pytest.raises(NetError, match="layer 'c': Specify either include rules or exclude rules; not both"):
        plan(text, phase=caffe_pb2.TEST)


@pytest.mark.parametrize(
    ("rules", "python", "cli"),
    [
        ('include { stage: "deploy" }', "with stages=['deploy']", "with --stage deploy"),
        ('include { stage: "a" stage: "c d" }', "with stages=['a', 'c d']", "with --stage a --stage 'c d'"),
        ("include { phase: TEST }", "with phase='TEST'", "with --phase TEST"),
        (
            'include { phase: TEST min_level: 5 stage: "x" } include { max_level: 1 }',
            "with phase='TEST' level=5 stages=['x'] or with level=1",
            "with --phase TEST --level 5 --stage x or with --level 1",
        ),
        ('include { phase: TRAIN not_stage: "b" }', "without stage 'b'", "without stage 'b'"),
        ("exclude { phase: TRAIN }", "with phase='TEST'", "with --phase TEST"),
        ('exclude { stage: "a" phase: TRAIN }', "without stage 'a'", "without stage 'a'"),
        ('exclude { not_stage: "x" }', "with stages=['x']", "with --stage x"),
        ("exclude { min_level: 2 } exclude { phase: TEST }", "with level=1", "with --level 1"),
        ("exclude { max_level: 3 }", "with level=4", "with --level 4"),
        ("exclude { }", "", ""),
    ],
)
def test_the_states_in_which_a_layer_would_stand(rules: str, python: str, cli: str) -> None:
    state = StateRules(caffe_pb2.NetState(phase=caffe_pb2.TRAIN, level=3, stage=["a", "b"]))
    layer = text_format.Parse(rules, caffe_pb2.LayerParameter())
    assert not state.includes(layer)
    assert state.remedy(layer) == python
    with interface("cli"):
        assert state.remedy(layer) == cli

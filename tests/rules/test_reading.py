"""Files of rules: what is read, and what is refused with its place."""

import pytest

from caffe_filler.errors import FillerError, FillerParameterError, InvalidArgument, PrototxtError, UnknownFiller
from caffe_filler.v1.rules_pb2 import InitRule, InitRules
from filler_server.rules import Rules, read_rules

WRONG = [
    (b'rule { name: "a" fillr { type: "xavier" } }', PrototxtError, "1:18: InitRule has no field fillr (did you mean"),
    (b'rules { name: "a" }', PrototxtError, "1:1: InitRules has no field rules (did you mean rule?)"),
    (b'rule {\n  filler { type: "gaussian" stdd: 1 } }', PrototxtError, "2:29: FillerParameter has no field stdd"),
    (b'rule { filler { type: "gaussian" my_own: 1 } }', PrototxtError, "FillerParameter has no field my_own"),
    (b'rule { filler { type: "msra" } fan_of: "a" fan_of: "b" }', PrototxtError, "InitRule.fan_of is given twice"),
    (b'rule { filler { type: "msra" }', PrototxtError, "1:"),
    (b'layer { name: "conv1" }', PrototxtError, "InitRules has no field layer"),
    (b"\x0a\x05\x00\x01\x02", PrototxtError, "rules are text, and this is binary"),
    (b"", InvalidArgument, "there are no rules"),
    (b'\n\nrule { name: "a" }', InvalidArgument, "rule 1 (line 3): it has no filler"),
    (b'rule { filler { type: "msra" } }\nrule { filler { type: "mrsa" } }', UnknownFiller, "rule 2 (line 2): unknown"),
    (b'rule { filler { type: "uniform" min: 2 } }', FillerParameterError, "rule 1 (line 1): min of filler type"),
    (b'rule { fan_of: "w" filler { type: "constant" } }', InvalidArgument, "fan_of is for fillers that scale by fans"),
    (b'rule { name: "*" stream: "s" filler { type: "msra" } }', InvalidArgument, "one name without a pattern"),
    (
        b'rule { layout: "in,out" axes { inputs: 0 } filler { type: "msra" } }',
        InvalidArgument,
        "axes are given, or",
    ),
    (b'rule { axes { input: 0 } filler { type: "msra" } }', PrototxtError, "FanAxes has no field input (did you mean"),
    (b'rule { stream: "s" filler { type: "msra" } }', InvalidArgument, "one name without a pattern"),
    (b'rule { name: ["a", "b"] stream: "s" filler { type: "msra" } }', InvalidArgument, "filled alike"),
]


@pytest.mark.parametrize(("text", "kind", "message"), WRONG)
def test_what_is_wrong_is_named_with_its_place(text: bytes, kind: type[FillerError], message: str) -> None:
    with pytest.raises(kind) as caught:
        read_rules(text)
    assert message in str(caught.value)


def test_text_that_is_not_bytes_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Received: str"):
        read_rules('rule { filler { type: "msra" } }')  # type: ignore[arg-type]


def test_lists_comments_and_all_fields_are_read() -> None:
    rules = read_rules(
        b"""
        # The first rule that fits counts.
        rule {
          name: ["a.*", "b.?"] module: "Linear" within: "Block" fan_of: "w"
          filler { type: "torch.xavier_normal_" }
        }
        rule { name: "c" stream: "d" zero_padding: true filler { type: "gaussian" std: 0.5 } }
        """
    )
    first, second = rules.message.rule
    assert list(first.name) == ["a.*", "b.?"]
    assert (first.fan_of, list(first.within)) == ("w", ["Block"])
    assert second.zero_padding
    assert second.filler.std == 0.5
    assert rules.labels == ("rule 1: a.*, b.? in Linear within Block", "rule 2: c")


def test_messages_are_checked_as_files_are() -> None:
    with pytest.raises(InvalidArgument, match="rule 1: it has no filler"):
        Rules(InitRules(rule=[InitRule(name=["a"])]))


def test_long_names_are_cut_in_labels_and_strange_characters_escaped() -> None:
    rules = read_rules(b'rule { name: "' + b"x" * 5000 + b'" filler { type: "msra" } }')
    assert len(rules.labels[0]) < 80
    rules = read_rules(b'rule { name: "a\\n\\033[31m" filler { type: "msra" } }')
    assert rules.labels[0].isprintable()

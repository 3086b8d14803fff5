"""Rules for parameters, from everything that a caller may give for them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument, NotFound
from caffe_filler.files import read_file
from caffe_filler.nearest import did_you_mean, nearest
from caffe_filler.v1.rules_pb2 import InitRules
from filler_client._requests import FillerLike, filler_parameter, plan_request

if TYPE_CHECKING:
    from filler_server.rules import Rules

RulesLike: TypeAlias = Union[
    str, "os.PathLike[str]", InitRules, NetParameter, Mapping[str, FillerLike], "Sequence[RulesLike]"
]
"""Rules: the path of a file of `InitRules`, its text, or the message; the name of a ready-made set (`torch`,
`transformer`); a net of Caffe as a message; a mapping from patterns of names to fillers; or a sequence of these, of
which earlier ones count first."""

_MOST_BYTES = 16 << 20


def rule_set(name: str, **options: Any) -> InitRules:
    """Return ready-made rules.

    - `"torch"`: what the modules of `torch.nn` do by default, in distribution.
    - `"transformer"`: N(0, std^2) with `std=0.02`; for the matrices that write to the residual stream
      N(0, std^2 / (2 depth)), `depth` being the number of blocks of the whole model, which has to be given; biases 0,
      normalizations 1. `outputs` are patterns of the names of those matrices, in place of the usual ones.
    - `"caffe"`: the fillers of `net`, under the names that its tensors have in PyTorch and with the random numbers of
      its blobs, so that the values are those of `init_net` and `save_net`. Further options are those of `plan_net`.

    Args:
        name: name of the set.
        options: what the set needs to know.

    Raises:
        NotFound: there is no set of this name.
        InvalidArgument: an option cannot be what it should.
        NetError: a blob of the net cannot be filled by a rule.
        TypeError: the set has no such option, or needs one more.

    Example:
        initialize_(model, [{"*.router.weight": "constant"}, rule_set("transformer", depth=12)], seed=1701)
    """
    rules = InitRules()
    rules.CopyFrom(_rule_set(name, options).message)
    return rules


def _rule_set(name: str, options: Mapping[str, Any]) -> "Rules":
    from filler_server.rules import sets

    if name == "torch":
        return sets.torch(**options)
    if name == "transformer":
        return sets.transformer(**options)
    if name == "caffe":
        return _caffe(**options)
    hint = did_you_mean(nearest(str(name), sets.SETS))
    raise NotFound(f"no set of rules{hint}; there are {', '.join(sets.SETS)}. Received: {name!r}")


def _caffe(net: Any, **options: Any) -> "Rules":
    from filler_server.api.limits import UNLIMITED
    from filler_server.api.planning import plan
    from filler_server.rules.sets import caffe

    return caffe(plan(plan_request(net, **options), UNLIMITED))


def rules_of(rules: RulesLike, names: Iterable[str] = (), *, is_whole: bool = True) -> "Rules":
    """Return rules that have been checked.

    Args:
        rules: what the caller gives for them.
        names: names of the parameters that they are for.
        is_whole: whether these are those of the whole model.

    Raises:
        InvalidArgument: they are nothing that rules can be, or a rule lacks something or says two things.
        PrototxtError: a text is malformed, with line and column.
        FillerError: a filler of a rule is unknown or cannot work with its parameters.
        OSError: a file cannot be read.
    """
    from filler_server.rules import Rules, read_rules

    if isinstance(rules, InitRules):
        return Rules(rules)
    if isinstance(rules, NetParameter):
        return _caffe(rules)
    if isinstance(rules, Mapping):
        return Rules(_of_mapping(rules))
    if isinstance(rules, os.PathLike):
        return _of_file(rules)
    if isinstance(rules, str):
        if "{" in rules or "\n" in rules or not rules.strip():
            return read_rules(_encoded(rules))
        return _of_name(rules, names, is_whole)
    if isinstance(rules, Sequence) and not isinstance(rules, bytes | bytearray | memoryview):
        message = InitRules()
        for entry in rules:
            message.MergeFrom(rules_of(entry, names, is_whole=is_whole).message)
        return Rules(message)
    raise InvalidArgument(
        "rules are a path, text, the name of a set, a message, a mapping from patterns to fillers, or a sequence of "
        f"these. Received: {type(rules).__name__}"
    )


def _of_mapping(rules: Mapping[Any, Any]) -> InitRules:
    message = InitRules()
    for pattern, filler in rules.items():
        if not isinstance(pattern, str):
            raise InvalidArgument(f"rules map patterns of names to fillers. Received: {pattern!r}")
        _encoded(pattern)
        message.rule.add(name=[pattern], filler=filler_parameter(filler))
    return message


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"text must be encodable in UTF-8. Received: {text!r}") from None


def _of_file(path: "os.PathLike[str]") -> "Rules":
    from caffe_filler.errors import FillerError
    from filler_server.rules import read_rules

    try:
        return read_rules(read_file(path, _MOST_BYTES))
    except FillerError as error:
        raise error.in_file(path) from None


def _of_name(name: str, names: Iterable[str], is_whole: bool) -> "Rules":
    """Return the set of a name, or the rules of a file that is called so."""
    from pathlib import Path

    from filler_server.rules.sets import SETS, transformer_of

    if name == "transformer":
        if not is_whole:
            raise InvalidArgument(
                "a rank of several may hold a part of the model; rule_set('transformer', depth=...) says how many "
                "blocks the whole model has. Received: rules='transformer'"
            )
        return transformer_of(names)
    if name == "caffe":
        raise InvalidArgument("rule_set('caffe', net=...) says of which net. Received: rules='caffe'")
    if name in SETS:
        return _rule_set(name, {})
    path = Path(name)
    if not path.exists():
        hint = did_you_mean(nearest(name, SETS))
        raise NotFound(f"neither a file nor a set of rules{hint}; sets are {', '.join(SETS)}. Received: {name!r}")
    return _of_file(path)

"""`filler_client.torch.lint`: mistakes of public reports in modules, each rebuilt small."""

import pytest

torch = pytest.importorskip("torch")

from caffe_filler.errors import InvalidArgument  # noqa: E402
from filler_client.torch import initialize_, lint, rule_set  # noqa: E402

pytestmark = pytest.mark.frameworks


def codes(module, rules, **options) -> list[str]:
    return [finding.code for finding in lint(module, rules, **options)]


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1 = torch.nn.Linear(64, 256, bias=False)
        self.w2 = torch.nn.Linear(256, 64, bias=False)
        self.w3 = torch.nn.Linear(64, 256, bias=False)


def stack(depth: int = 8) -> torch.nn.Module:
    return torch.nn.ModuleDict({"layers": torch.nn.ModuleList(Block() for _ in range(depth))})


def rules(depth: int = 8):
    return rule_set("transformer", depth=depth, outputs=["*.w2.weight"])


def test_what_was_filled_by_its_rules_is_clean() -> None:
    model = stack()
    initialize_(model, rules(), seed=1701)
    found = lint(model, rules())
    assert not found, str(found)


def test_scaling_that_was_never_applied() -> None:
    """huggingface/transformers#47458: the outputs of blocks kept the std that is not scaled by the depth."""
    model = stack()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    assert codes(model, rules(), select=["FIL055"]) == ["FIL055"] * 8


def test_depth_scaling_on_the_wrong_matrix() -> None:
    """pytorch/torchtitan#3334: w3 was scaled by the depth as well as w2."""
    model = stack(1)
    initialize_(model, rules(1), seed=1)
    with torch.no_grad():
        model["layers"][0].w3.weight.mul_(2**-0.5)
    found = lint(model, rules(1), select=["FIL055"])
    assert [finding.layer for finding in found] == ["layers.0.w3.weight"]
    assert "1 / sqrt(2) of it" in found[0].message


def test_truncation_at_a_hundred_sigma() -> None:
    """pytorch/torchtitan#3334: trunc_normal_ with std 0.02 kept its absolute bounds of -2 and 2."""
    declared = {"*": 'type: "truncated_gaussian" std: 0.02 min: -2 max: 2'}
    model = torch.nn.Linear(64, 64)
    initialize_(model, declared, seed=1)
    assert codes(model, declared) == ["FIL057"]


def test_the_fan_of_a_shard() -> None:
    """NVIDIA-NeMo/Megatron-Bridge#5840: xavier on each rank's part made the std grow with the number of ranks."""
    shard = torch.nn.init.xavier_normal_(torch.empty(32, 4096 // 4))
    tensors, whole = {"linear_in.weight": shard}, {"linear_in.weight": (32, 4096)}
    assert codes(tensors, {"*": "jax.glorot_normal"}, shapes=whole) != []
    declared = {"*": 'type: "variance_scaling_gaussian" variance_norm: AVERAGE'}
    assert codes(tensors, declared, shapes=whole) == ["FIL056"]
    assert codes(tensors, declared) == []


@pytest.mark.parametrize("name_prefix", ["", "stage.3"])
def test_a_bias_goes_by_the_whole_of_its_weight(name_prefix: str) -> None:
    part, path = torch.nn.Linear(64, 2048), f"{name_prefix}." if name_prefix else ""
    torch.nn.init.uniform_(part.weight, -1 / 32, 1 / 32)
    torch.nn.init.uniform_(part.bias, -1 / 32, 1 / 32)
    declared = rule_set("torch")
    del declared.rule[0]
    wholes = {f"{path}weight": (2048, 1024)}
    assert codes(part, declared, shapes=wholes, name_prefix=name_prefix) == []
    wholes[f"{path}bias"] = (4096,)
    assert codes(part, declared, shapes=wholes, name_prefix=name_prefix) == []


def test_interchanged_fans() -> None:
    """tenstorrent/tt-metal#48716: the wrong fan was counted."""
    weight = torch.nn.init.kaiming_normal_(torch.empty(64, 1024), mode="fan_out", nonlinearity="linear")
    (finding,) = lint({"w": weight}, {"*": 'type: "variance_scaling_gaussian"'})
    assert finding.code == "FIL055"
    assert "interchanged" in finding.message


def test_layers_from_one_seed() -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(0)
        made.append(torch.nn.Linear(64, 64))
    assert codes(torch.nn.Sequential(*made), "torch", select=["FIL058"]) == ["FIL058"] * 2


def test_tied_parameters_are_one() -> None:
    first, second = torch.nn.Linear(64, 64, bias=False), torch.nn.Linear(64, 64, bias=False)
    second.weight = first.weight
    assert codes(torch.nn.Sequential(first, second), "torch", select=["FIL058"]) == []


def test_tied_tensors_of_a_checkpoint_are_one() -> None:
    first, second = torch.nn.Linear(64, 64, bias=False), torch.nn.Linear(64, 64, bias=False)
    second.weight = first.weight
    state = torch.nn.Sequential(first, second).state_dict()
    declared = {"0.weight": 'type: "variance_scaling_uniform" value: 0.33333333', "1.weight": "constant"}
    for shapes in ({}, {"1.weight": (64, 64)}):
        assert codes(state, declared, shapes=shapes) == []
        assert codes(torch.nn.Sequential(first, second), declared, shapes=shapes) == []
    copied = {name: tensor.clone() for name, tensor in state.items()}
    assert codes(copied, {"*": declared["0.weight"]}, select=["FIL058"]) == ["FIL058"]
    absent = {name: torch.empty(4, 4, device="meta") for name in "abc"}
    assert codes(absent, {"*": "gaussian"}) == ["FIL054"] * 3


def test_a_negated_view_is_looked_at_as_it_reads() -> None:
    values = torch.complex(torch.zeros(64, 64), torch.ones(64, 64)).to(torch.complex128).conj().imag
    assert codes({"w": values}, {"*": 'type: "constant" value: -1'}) == []


def test_meta_and_unmatched_parameters() -> None:
    assert codes(torch.nn.Linear(4, 4, device="meta"), "torch") == ["FIL054"] * 2
    assert codes(torch.nn.Linear(64, 4), {"weight": "torch.kaiming_uniform_"}, select=["FIL054"]) == ["FIL054"]


def test_what_cannot_be_looked_at() -> None:
    with pytest.raises(InvalidArgument, match="a module, or tensors by name"):
        lint([1], "torch")
    with pytest.raises(InvalidArgument, match="did you mean 'weight'"):
        lint(torch.nn.Linear(4, 4), "torch", shapes={"weigth": (4, 4)})
    for shape in (5, (2.5, 4), (4, -4), (2, 8), (3, 4)):
        with pytest.raises(InvalidArgument, match=r"shapes: .*'weight'"):
            lint({"weight": torch.zeros(4, 4)}, "torch", shapes={"weight": shape})
    with pytest.raises(InvalidArgument, match="shapes are by name"):
        lint({"weight": torch.zeros(4, 4)}, "torch", shapes=[(4, 4)])
    with pytest.raises(InvalidArgument, match="name of a tensor is text"):
        lint({5: torch.zeros(4, 4)}, "torch")
    with pytest.raises(InvalidArgument, match=r"'w' is no dense tensor.*torch\.sparse"):
        lint({"w": torch.zeros(4, 4).to_sparse()}, {"*": "gaussian"})
    with pytest.raises(InvalidArgument, match="no rule has a code"):
        lint(torch.nn.Linear(4, 4), "torch", select=["X"])

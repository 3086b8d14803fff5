"""Differences of values that come through the same weights, as in siamese and triplet nets, against a simulation."""

import pytest

from filler_client import FillerClient
from filler_server.diagnostics.signal.twins import have_one_source, lineages, twins_among

BRANCH = """
layer {{ name: "{0}" type: "Input" top: "{0}" input_param {{ shape {{ dim: [32, 64] }} }} }}
layer {{ name: "a{0}" type: "InnerProduct" bottom: "{0}" top: "a{0}" param {{ name: "aw" }} param {{ name: "ab" }}
  inner_product_param {{ num_output: 64 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "r{0}" type: "ReLU" bottom: "a{0}" top: "r{0}" }}
layer {{ name: "b{0}" type: "InnerProduct" bottom: "r{0}" top: "b{0}" param {{ name: "bw" }} param {{ name: "bb" }}
  inner_product_param {{ num_output: 64 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "q{0}" type: "ReLU" bottom: "b{0}" top: "q{0}" }}
layer {{ name: "f{0}" type: "InnerProduct" bottom: "q{0}" top: "f{0}" param {{ name: "fw" }} param {{ name: "fb" }}
  inner_product_param {{ num_output: 64 weight_filler {{ type: "msra" }} }} }}
"""
NORMALIZE = """layer {{ name: "n{0}" type: "Normalize" bottom: "f{0}" top: "n{0}"
  norm_param {{ scale_filler {{ type: "constant" value: 8 }} }} }}
"""
DIFFERENCE = """layer {{ name: "{0}" type: "Eltwise" bottom: "{1}" bottom: "{2}" top: "{0}"
  eltwise_param {{ coeff: 1 coeff: -1 }} }}
"""
HEAD = """
layer { name: "ip" type: "InnerProduct" bottom: "d" top: "ip"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 32 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
EUCLIDEAN = 'layer {{ name: "loss" type: "EuclideanLoss" bottom: "{}" bottom: "{}" top: "loss" }}\n'


def branches(names: str, *, normalized: bool) -> str:
    return "".join((BRANCH + NORMALIZE * normalized).format(name) for name in names)


@pytest.mark.parametrize(("normalized", "d", "gradient"), [(False, 2.03, 1.67e-5), (True, 1.02, 1.54e-5)])
def test_a_difference_of_twins_has_not_what_these_have_in_common(normalized: bool, d: float, gradient: float) -> None:
    first = "n" if normalized else "f"
    net = branches("xz", normalized=normalized) + DIFFERENCE.format("d", f"{first}x", f"{first}z") + HEAD
    report = FillerClient.embedded().signal(net)
    found = {value.top: value for value in report.values}
    assert found["d"].mean_square == pytest.approx(d, rel=0.1)
    assert found[f"{first}x"].gradient_mean_square == pytest.approx(gradient, rel=0.1)
    assert all(blob.gradient_mean_square is None for blob in report.parameters if blob.name[0] in "abf")
    assert "'d': the gradients of weights that both of its bottoms come through partly cancel" in report.notes[0]


@pytest.mark.parametrize(("normalized", "loss", "gradient"), [(False, 65.0, 6.5e-3), (True, 32.8, 1.12e-3)])
def test_a_loss_compares_twins(normalized: bool, loss: float, gradient: float) -> None:
    first = "n" if normalized else "f"
    net = branches("xz", normalized=normalized) + EUCLIDEAN.format(f"{first}x", f"{first}z")
    found = {value.top: value for value in FillerClient.embedded().signal(net).values}
    assert found["loss"].mean == pytest.approx(loss, rel=0.1)
    assert found["ax"].gradient_mean_square == pytest.approx(gradient, rel=0.25)


def test_gradients_of_two_differences_of_one_value_are_not_known() -> None:
    # As in a triplet net: those of x - y and of x - z go together as both have x.
    net = branches("xyz", normalized=False) + DIFFERENCE.format("d", "fx", "fy") + DIFFERENCE.format("e", "fx", "fz")
    net += 'layer { name: "far" type: "Reduction" bottom: "e" top: "far" loss_weight: 1 '
    net += "reduction_param { operation: SUMSQ } }\n"
    found = {value.top: value for value in FillerClient.embedded().signal(net + HEAD).values}
    assert "go together" in str(found["fx"].gradient_unknown)
    assert found["fy"].gradient_mean_square is not None


def test_branches_with_weights_of_their_own_are_independent() -> None:
    net = branches("xz", normalized=False) + DIFFERENCE.format("d", "fx", "fz") + HEAD
    net = net.replace('param { name: "fw" } param { name: "fb" }', "")
    found = {value.top: value for value in FillerClient.embedded().signal(net).values}
    assert found["d"].mean_square == pytest.approx(found["fx"].mean_square * 2)


def test_a_product_of_twins_that_go_together_is_not_known() -> None:
    net = branches("xz", normalized=False) + DIFFERENCE.format("d", "fx", "fz").replace(
        "coeff: 1 coeff: -1", "operation: PROD"
    )
    found = {value.top: value for value in FillerClient.embedded().signal(net + HEAD).values}
    assert "come through the same weights" in str(found["d"].unknown)


def test_what_is_kept_of_many_sources_is_bounded() -> None:
    count = 3000
    layers = []
    for n in range(count):
        layers += [
            f'layer {{ name: "x{n}" type: "Input" top: "x{n}" input_param {{ shape {{ dim: [4, 8] }} }} }}',
            f'layer {{ name: "f{n}" type: "InnerProduct" bottom: "x{n}" top: "f{n}" param {{ name: "w" }} '
            'inner_product_param { num_output: 8 bias_term: false weight_filler { type: "xavier" } } }',
        ]
    for n in range(1, count):
        before = f"s{n - 1}" if n > 1 else "f0"
        layers.append(f'layer {{ name: "s{n}" type: "Eltwise" bottom: "{before}" bottom: "f{n}" top: "s{n}" }}')
    made = lineages(FillerClient.embedded().plan_net("\n".join(layers)))
    sizes = [len(lineage.sources) for lineage in made.values()]
    assert max(sizes) == 64
    assert sum(sizes) < 4 * count
    tops = [lineage for lineage in made.values() if len(lineage.sources) == 1 and lineage.is_learned]
    (group,) = twins_among(tops)
    assert len(group) == count
    assert not have_one_source(group)
    assert have_one_source([lineage for lineage in made.values() if not lineage.sources][:2])

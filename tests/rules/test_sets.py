"""Ready-made rules, seen by parameters that look like those of models."""

from math import sqrt
from pathlib import Path

import pytest

from caffe_filler.errors import InvalidArgument, NetError
from filler_client import FillerClient
from filler_server.rules import Parameter, Rules, sets

TORCH = "torch.nn.modules"


def std(rules: Rules, name: str, shape: tuple[int, ...], *module: str, **facts: object) -> float | None:
    kinds = tuple(part for kind in module for part in (kind, kind.rpartition(".")[2]))
    found = rules.assign(Parameter(name, shape, kinds, **facts))  # type: ignore[arg-type]
    return None if found is None else found.std


def test_torch_is_what_its_modules_do() -> None:
    rules = sets.torch()
    linear = f"{TORCH}.linear.Linear"
    siblings = {"weight": (5, 27), "bias": (5,)}
    bound = 1 / sqrt(27)
    assert std(rules, "a.weight", (5, 27), linear) == pytest.approx(bound / sqrt(3))
    assert std(rules, "a.bias", (5,), linear, siblings=siblings) == pytest.approx(bound / sqrt(3))
    # PyTorch counts the inputs of a transposed convolution along the second axis.
    conv = (f"{TORCH}.conv.ConvTranspose2d", f"{TORCH}.conv._ConvNd")
    assert std(rules, "weight", (8, 3, 3, 3), *conv) == pytest.approx(bound / sqrt(3))
    lstm = (f"{TORCH}.rnn.LSTM", f"{TORCH}.rnn.RNNBase")
    held = {"weight_ih_l0": (64, 5), "weight_hh_l0": (64, 16)}
    assert std(rules, "l.bias_hh_l0", (64,), *lstm, siblings=held) == pytest.approx(1 / sqrt(16 * 3))
    held["weight_hr_l0"] = (4, 16)
    held["weight_hh_l0"] = (64, 4)
    assert std(rules, "l.weight_hh_l0", (64, 4), *lstm, siblings=held) == pytest.approx(1 / sqrt(16 * 3))
    bilinear = f"{TORCH}.linear.Bilinear"
    held = {"weight": (4, 25, 7), "bias": (4,)}
    for name in held:
        assert std(rules, name, held[name], bilinear, siblings=held) == pytest.approx(1 / sqrt(25 * 3))
    attention = f"{TORCH}.activation.MultiheadAttention"
    assert std(rules, "m.in_proj_weight", (24, 8), attention) == pytest.approx(sqrt(2 / 32))
    assert std(rules, "e.weight", (10, 4), f"{TORCH}.sparse.Embedding") == 1


def test_torch_does_not_know_other_modules() -> None:
    assert std(sets.torch(), "a.weight", (5, 27), "my.Linear") is None
    assert std(sets.torch(), "cls_token", (1, 8)) is None


def test_torch_sets_running_statistics() -> None:
    kinds = ("BatchNorm2d", f"{TORCH}.batchnorm.BatchNorm2d", "_NormBase", f"{TORCH}.batchnorm._NormBase")
    means = {}
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        for path in (name, f"bn.{name}"):
            found = sets.torch().assign(Parameter(path, (3,), kinds, is_buffer=True))
            assert found is not None
            means[name] = found.mean
    assert means == {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}


def test_transformer_scales_what_writes_to_the_residual_stream() -> None:
    rules = sets.transformer(depth=8)
    for name in ("attn.c_proj", "mlp.c_proj", "self_attn.o_proj", "mlp.down_proj", "linear2", "self_attn.out_proj"):
        assert std(rules, f"h.0.{name}.weight", (4, 4), "Linear") == pytest.approx(0.02 / 4, rel=1e-6), name
        assert std(rules, f"{name}.weight", (4, 4), "Linear") == pytest.approx(0.02 / 4, rel=1e-6), name
    for name in ("attn.c_attn", "mlp.c_fc", "self_attn.q_proj", "mlp.up_proj", "linear1"):
        assert std(rules, f"h.0.{name}.weight", (4, 4), "Linear") == pytest.approx(0.02, rel=1e-6), name
    assert std(rules, "wte.weight", (9, 4), "Embedding") == pytest.approx(0.02, rel=1e-6)
    norm = rules.assign(Parameter("ln_f.weight", (4,), ("LlamaRMSNorm",)))
    assert norm is not None
    assert (norm.mean, norm.std) == (1, 0)
    assert std(rules, "temperature", ()) is None


def test_transformer_knows_modules_that_normalize_and_hold_matrices() -> None:
    rules = sets.transformer(depth=8)
    linear, column = ("LayerNormLinear",), ("TELayerNormColumnParallelLinear", "my.LayerNormLinear")
    for kinds in (linear, column, ("LayerNormMLP",)):
        norm = rules.assign(Parameter("layers.0.qkv.layer_norm_weight", (4,), kinds))
        assert norm is not None
        assert (norm.mean, norm.std) == (1, 0)
        assert std(rules, "layers.0.qkv.layer_norm_bias", (4,), *kinds) == 0
        assert std(rules, "layers.0.qkv.bias", (12,), *kinds) == 0
        assert std(rules, "layers.0.qkv.weight", (12, 4), *kinds) == pytest.approx(0.02, rel=1e-6)
    mlp = "layers.0.layernorm_mlp"
    assert std(rules, f"{mlp}.fc1_weight", (16, 4), "LayerNormMLP") == pytest.approx(0.02, rel=1e-6)
    assert std(rules, f"{mlp}.fc2_weight", (4, 16), "LayerNormMLP") == pytest.approx(0.02 / 4, rel=1e-6)
    assert std(rules, "layers.0.self_attention.proj.weight", (4, 4), "Linear") == pytest.approx(0.02 / 4, rel=1e-6)
    assert std(rules, "lm_head.weight", (9, 4), "NormHead") == pytest.approx(0.02, rel=1e-6)
    embed = rules.assign(Parameter("embed.weight", (9, 4), ("NormedEmbedding", "Embedding")))
    assert embed is not None
    assert embed.zero_padding
    assert embed.std == pytest.approx(0.02, rel=1e-6)
    # A norm of heads or embeddings holds none.
    for kind in ("EmbeddingNorm", "MultiHeadRMSNorm", "RMSNormPerHead"):
        assert std(rules, "layers.0.a.weight", (4,), kind) == 0


NORMS = [
    *(
        "norm.weight",
        "ln_f.weight",
        "transformer.h.0.ln_1.weight",
        "visual.ln_pre.weight",
        "decoder.blocks.3.mlp_ln.weight",
    ),
    *("model.layers.0.input_layernorm.weight", "model.layers.11.self_attn.q_norm.weight", "blocks.2.norm1.weight"),
    *("bert.encoder.layer.0.attention.output.LayerNorm.weight", "layers.0.layernorm_before.weight", "norm_f.weight"),
    *("params.LayerNorm_0.scale", "params.RMSNorm_12.scale", "encoder.block.0.layer.0.layer_norm.weight"),
    *("h.0.ln_attn.weight", "blocks.0.norm_pre.weight", "word_embeddings_layernorm.weight", "layers.0.ffn_norm.weight"),
    "decoder.layers.0.self_attention.linear_qkv.layer_norm_weight",
]


@pytest.mark.parametrize("name", NORMS)
def test_transformer_tells_normalizations_by_their_names_where_modules_are_unknown(name: str) -> None:
    rules = sets.transformer(depth=8)
    found = rules.assign(Parameter(name, (4,)))
    assert found is not None
    assert (found.mean, found.std) == (1, 0)
    bias = rules.assign(Parameter(name.replace("weight", "bias").replace("scale", "bias"), (4,)))
    assert bias is not None
    assert (bias.mean, bias.std) == (0, 0)


def test_transformer_takes_nothing_else_for_a_normalization() -> None:
    rules = sets.transformer(depth=8)
    for name in ("norm1.linear.weight", "final_norm.mlp.fc.weight", "normalize.weight", "vuln.weight", "wte.weight"):
        assert std(rules, name, (4, 4)) == pytest.approx(0.02), name
    # A known class counts, and not the name.
    assert std(rules, "h.0.ln_1.weight", (4,), "my.Scaled") == pytest.approx(0.02)


def test_names_of_the_residual_stream_can_be_given() -> None:
    rules = sets.transformer(depth=2, std=0.1, outputs=['*.to "out".weight'])
    assert std(rules, 'h.0.to "out".weight', (4, 4)) == pytest.approx(0.05)
    assert std(rules, "h.0.mlp.c_proj.weight", (4, 4)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "options", [{"depth": 0}, {"depth": True}, {"depth": 1.5}, {"depth": 2, "std": 0}, {"depth": 2, "outputs": []}]
)
def test_options_of_transformer_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        sets.transformer(**options)  # type: ignore[arg-type]


def test_depth_is_counted_by_names_of_whole_models() -> None:
    names = [f"model.layers.{index}.{name}" for index in range(8) for name in ("q_proj.weight", "mlp.down_proj.weight")]
    rules = sets.transformer_of([*names, "wte.weight"])
    assert rules.message == sets.transformer(depth=8).message
    assert sets.transformer_of(["h.0.c_proj.weight"]).message == sets.transformer(depth=1).message
    for wrong in ([], ["wte.weight"], ["h.1.fc2.weight", "h.2.fc2.weight"], ["h.0.fc2.weight", "h.2.fc2.weight"]):
        with pytest.raises(InvalidArgument, match="depth="):
            sets.transformer_of(wrong)


@pytest.mark.parametrize("other", ["layers.0.blocks.0.fc2.weight", "decoder.layers.0.fc2.weight"])
def test_depth_of_several_stacks_is_not_guessed(other: str) -> None:
    with pytest.raises(InvalidArgument, match=r"several stacks of blocks; .*depth="):
        sets.transformer_of(["layers.0.fc2.weight", other])


def test_blocks_without_a_matrix_to_scale_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"nothing in block 1 is called as .* outputs="):
        sets.transformer_of(["h.0.mlp.c_proj.weight", "h.1.mlp.proj_out.weight"])


def test_caffe_has_the_fillers_and_numbers_of_a_net(nets: Path) -> None:
    plan = FillerClient.embedded().plan_net(nets / "lenet.prototxt")
    rules = sets.caffe(plan)
    found = rules.assign(Parameter("ip1.weight", (500, 800)))
    assert found is not None
    blob = next(blob for blob in plan.blobs if blob.name == "ip1/0")
    assert (found.stream, found.filler, found.std) == ("ip1/0", blob.filler, blob.std)
    assert rules.assign(Parameter("ip1.scale", (500,))) is None


def test_caffe_knows_shared_blobs_and_batch_normalization(nets: Path) -> None:
    plan = FillerClient.embedded().plan_net(nets / "siamese_mnist.prototxt", inputs={"pair_data": (4, 2, 28, 28)})
    found = sets.caffe(plan).assign(Parameter("conv1_p.weight", (20, 1, 5, 5)))
    assert found is not None
    assert found.stream == "conv1/0"
    plan = FillerClient.embedded().plan_net(nets / "resnet50.prototxt")
    rules = sets.caffe(plan)
    means = []
    for name in ("bn_conv1.running_mean", "bn_conv1.running_var", "bn_conv1.weight", "bn_conv1.bias"):
        norm = rules.assign(Parameter(name, (64,), is_buffer="running" in name))
        assert norm is not None
        means.append(norm.mean)
    assert means == [0, 1, 1, 0]


@pytest.mark.parametrize("layer", ["conv*", "a?b", "ip[1]", "[*]", "x]y[", "*[!a]?"])
def test_caffe_takes_the_names_of_layers_as_they_are(layer: str) -> None:
    plan = FillerClient.embedded().plan_net(NET.replace('"i"', f'"{layer}"').replace("transpose: true", ""))
    rules = sets.caffe(plan)
    found = rules.assign(Parameter(f"{layer}.weight", (3, 6)))
    assert found is not None
    assert found.stream == f"{layer}/0"
    assert rules.assign(Parameter("convolution.weight", (3, 6))) is None


DATABASE = 'data_param { source: "lmdb" batch_size: 2 }'
NET = """
layer { name: "d" type: "Input" top: "d" input_param { shape { dim: [1, 6] } } }
layer { name: "i" type: "InnerProduct" bottom: "d" top: "i"
  inner_product_param { num_output: 3 transpose: true weight_filler { type: "xavier" } } }
"""


def test_caffe_refuses_what_no_rule_says() -> None:
    plan = FillerClient.embedded().plan_net(NET)
    with pytest.raises(NetError, match="blob 'i/0' has its values in another order in PyTorch"):
        sets.caffe(plan)
    unknown = NET.replace('type: "Input"', 'type: "Data"').replace("input_param { shape { dim: [1, 6] } }", DATABASE)
    unknown = unknown.replace("transpose: true", "")
    plan = FillerClient.embedded().plan_net(unknown)
    with pytest.raises(NetError, match="shape of blob 'i/0' is not known"):
        sets.caffe(plan)

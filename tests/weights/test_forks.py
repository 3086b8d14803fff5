"""Fields of forks, which the messages of BVLC's Caffe cannot hold, beside weights."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import filler_client
from filler_client import FillerClient

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 1, 6, 6] } } }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 ceil_mode: false } }
layer { name: "conv" type: "Convolution" bottom: "pool" top: "conv"
  convolution_param { num_output: 1 kernel_size: 1 bias_term: false weight_filler { type: "constant" value: 1 } } }
layer { name: "mean" type: "Pooling" bottom: "conv" top: "mean" pooling_param { pool: AVE global_pooling: true } }
"""
IMAGE = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
LACKS = "lack fields of forks, without which they may compute something else: 'pool' (pooling_param.ceil_mode)"


@pytest.mark.parametrize("ending", ["caffemodel", "prototxt"])
def test_files_whose_layers_lack_them_say_so(tmp_path: Path, ending: str) -> None:
    with FillerClient.embedded() as client:
        saved = client.save_net(NET, tmp_path / f"filled.{ending}")
        client.save_net(NET, tmp_path / "plain.npz")
    converted = filler_client.convert(tmp_path / "plain.npz", tmp_path / f"converted.{ending}", net=NET)
    written = filler_client.save_weights({"conv/0": np.ones((1, 1, 1, 1))}, tmp_path / f"saved.{ending}", net=NET)
    for notes in (saved.notes, converted.notes, written.notes):
        assert [note for note in notes if LACKS in note]
    plain = filler_client.convert(tmp_path / "plain.npz", tmp_path / "other.safetensors", net=NET)
    assert not [note for note in plain.notes if LACKS in note]


@pytest.mark.parametrize("values", ["", "blobs { shape { dim: [1, 1, 1, 1] } data: 7 }"])
def test_the_text_in_an_hdf5_file_keeps_them(tmp_path: Path, values: str) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["model_prototxt"] = NET.replace('top: "conv"', f'top: "conv" {values}')
        file["data/conv/0"] = np.ones((1, 1, 1, 1), np.float32)
    tops = filler_client.run(tmp_path / "net.h5", inputs={"data": IMAGE})
    assert tops["mean"].item() == 21

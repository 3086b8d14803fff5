"""A Caffe net in PyTorch and in ONNX Runtime, with the numbers of Caffe: cells as of a notebook.

pip install 'caffe-filler[onnx,torch]'
python run_caffe_net.py deploy.prototxt net.caffemodel
"""

# %% A prototxt and its weights, of any age
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import filler_client
from filler_client.torch import load_net

prototxt, weights = map(Path, sys.argv[1:3])
folder = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp())

# %% In PyTorch: a module of ordinary modules, in eval mode
net = load_net(prototxt, weights)
print(net)

# %% In ONNX, and as a source that needs PyTorch alone
exported = filler_client.export(prototxt, folder / "net.onnx", weights)
source = filler_client.export(prototxt, folder / "net.py", weights)
print(source.path.read_text())

# %% Random inputs, in the shapes that the net has
rng = np.random.default_rng(1701)
inputs = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in exported.inputs.items()}

# %% The same numbers, by Caffe's definitions in NumPy, by PyTorch and by ONNX Runtime
by_definition = filler_client.run(prototxt, weights, inputs=inputs)
with torch.no_grad():
    by_pytorch = net(*map(torch.from_numpy, inputs.values()))
session = onnxruntime.InferenceSession(exported.path)
by_onnx = dict(zip(by_definition, session.run(list(by_definition), inputs), strict=True))

for name, want in by_definition.items():
    scale = float(np.abs(want).max())
    for runtime, got in (("PyTorch", by_pytorch[name].numpy()), ("ONNX Runtime", by_onnx[name])):
        error = float(np.abs(got - want).max())
        print(f"{name}: {runtime} is off by {error:.1e} where values go up to {scale:.2g}")
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5 * scale)

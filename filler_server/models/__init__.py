"""Models that run: what the layers of a net compute, here in NumPy, and elsewhere as ONNX and PyTorch.

`Graph` is the part of a net that computes: operations, the values between them by unique names, and the tensors of
their blobs. The rooms below read it and nothing else of a net: `reference` computes it with NumPy, `onnx` and `torch`
write it as models of these libraries. Each has one module for each family of operations, named as in
`net.operations`, and in it one function for each operation. What changes a net before it runs (a deploy form, folded
normalizations, inner products as convolutions) turns a graph into a graph.
"""

"""A graph as a model of ONNX, with one function for each operation.

Standard operators of one opset; names of values and nodes are those of the graph. Importing any module of this room
needs the library `onnx`.
"""

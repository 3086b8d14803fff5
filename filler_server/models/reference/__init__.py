"""Forward passes in NumPy, written from Caffe's definitions: one function for each operation.

It is what exported models are compared with, and what `filler run` computes with: plain rather than fast, in float64 or
float32. `evaluate` takes a graph and the values of its inputs; `registry` has the functions.
"""

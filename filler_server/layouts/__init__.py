"""Layouts: the names, shapes and order that tensors have in Caffe and in PyTorch.

Each turns sequences of tensors into sequences of tensors and reads no more values than it must. They serve everything
that writes or reads weights, so that `names="torch"` means one thing.
"""

"""Shared ground of client and server: the messages of `caffe` and `v1`, the errors, the data types of blobs."""

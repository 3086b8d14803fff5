"""What client and server share: the messages of `caffe` and `v1`, the tree of errors, the data types of blobs."""

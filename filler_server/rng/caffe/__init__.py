"""The `caffe` stream: the very numbers that Caffe would have drawn, bit for bit."""

"""Random numbers: a counter-based stream, and Caffe's own generator."""

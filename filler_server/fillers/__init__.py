"""The seven fillers of Caffe, and the factory."""

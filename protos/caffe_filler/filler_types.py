"""Names of Caffe's own fillers: where a net is only planned, no filler is made of them."""

CAFFE_FILLERS = ("constant", "gaussian", "uniform", "positive_unitball", "xavier", "msra", "bilinear")

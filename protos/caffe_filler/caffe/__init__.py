"""Messages of Caffe's schema, generated from `caffe.proto`."""

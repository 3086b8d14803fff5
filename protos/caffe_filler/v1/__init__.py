"""Messages and stubs of the filler service, generated from `filler.proto`."""

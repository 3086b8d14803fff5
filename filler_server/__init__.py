"""Caffe's fillers, its nets, and the service that streams them; also usable as a library.

Importing this package loads none of its parts: `filler_server.prototxt`, `.net` and `.weights` need no Numba,
`.rng` and `.engine` do.
"""

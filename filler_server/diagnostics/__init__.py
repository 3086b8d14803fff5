"""Views of an initialization before any training: what its values, its signals and its prototxt say of it."""

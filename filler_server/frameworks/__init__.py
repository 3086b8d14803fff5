"""Initializers of other frameworks: their names, their calls, and which filler each of them is."""

"""Files of weights: one small module for each format, the same verbs in each.

A writer is given the tensors that will come, then their bytes in order, and makes the file appear whole or not at all.
"""

"""Files of weights: one small module for each format, the same verbs in each.

A reader (`opening.open_weights`) lists the tensors of a file of any format without reading a value; each gives its
values as a view of the file where it can, and in blocks always.

A writer (`formats.open_writer`) is given the tensors that will come, then their bytes in order, and makes the file
appear whole or not at all.

On these stand `conversion`, `torch_layout`, `merge`, `statistics` and `comparison`.
"""

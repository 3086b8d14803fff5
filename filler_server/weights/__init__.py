"""Files of weights.

`opening.open_weights` lists the tensors of a file of any format without reading a value. `saving.save` writes tensors
of every kind to the format of a name's ending, and the file appears whole or not at all. A format is one record in one
module of `formats`: its name, endings, how it is recognised, its reader and its writer.

On these stand `conversion`, `merge`, `statistics` and `comparison`; `filler_server.layouts` names and shapes tensors as
Caffe or PyTorch has them.
"""

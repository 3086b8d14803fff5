"""Signal in a net before any training: how large activations and gradients are in each layer, from the plan alone.

Mean-field theory: weights are independent random numbers, and what is known of a value is the distribution of one of
its elements and how pairs of elements go together. A rule for each operation says what becomes of that on the way
forward, and of the mean square of the gradient on the way back. The modules of rules, and the functions in them, are
named as those of `filler_server.models.reference`.

Sources: Glorot and Bengio (2010), He et al. (2015), Poole et al. (2016, arXiv:1606.05340), Schoenholz et al. (2017,
arXiv:1611.01232), Xiao et al. (2018, arXiv:1806.05393) for convolutions, Yang et al. (2019, arXiv:1902.08129) for
BatchNorm.

What is assumed:

* Inputs are independent normal numbers (or labels, indices, marks, drawn as `filler_server.models.samples` does), the
  elements of one image as well: real images are smoother, and pooled values then larger.
* Sums over the inputs of a layer are normal, and what holds on average holds for each. The gradient that comes to a
  layer does not depend on the values there, but for what maxima and kinks choose, and a part along the value itself.
* Mean squares are means over nets. Single nets scatter about them, the more layers and the fewer units they have; the
  spread is the standard deviation to expect. Behind 20 layers of 128 ReLU units it is 85 %, and most nets have less
  than the mean, which few large ones make.
* Weights of different layers do not know each other; those that are shared are taken as if they did not, too.
* Neighboring places go together as their windows overlap; farther ones are all alike.

How near it comes to the mean over hundreds of seeds: for 20 layers of 128 units of ReLU, tanh or sigmoid within 7 %
forward and 12 % backward, and the spread within 15 %. A mean over five seeds is as far from it as its standard error,
40 % for ReLU. LeNet is within 8 % forward and 1 % backward, a ResNet within 5 % and 17 %, a net of overlapping poolings
within 11 % and 8 %. Gradients of parameters sum over batch and places, where little of a gradient has much weight:
they are right to a factor of 2 to 3, where small nets of few channels are far apart to 10. It is wrong by more for
weights whose mean is not 0 in front of saturating units, and for functions that grow faster than linear (powers).
"""

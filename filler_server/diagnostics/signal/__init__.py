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
* Layers are wide: sums over their inputs are normal, and what holds on average holds for each. The gradient that comes
  to a layer does not depend on the values there, but for what maxima and kinks choose.
* Forward, mean squares are those of a typical net: behind many layers of few units the mean over nets is larger, as it
  is made of few of them. Backward they are means over nets.
* Weights of different layers do not know each other; those that are shared are taken as if they did not, too.
* Neighboring places go together as their windows overlap; farther ones are all alike.

How near it comes to a real Caffe, as the mean over five seeds: within 13 % forward and 20 % backward for 20 layers of
tanh or sigmoid, within 30 % for 20 layers of 128 ReLU units, whose standard error is 25 %; within 10 % for LeNet, 25 %
for a ResNet, 50 % for a net of overlapping poolings. Gradients of parameters sum over batch and places, where little of
a gradient has much weight: they are right to a factor of 2 to 3, where small nets of few channels are far apart to 10.
It is wrong by more for weights whose mean is not 0 in front of saturating units, for functions that grow
faster than linear (powers), and for gradients of regressions on a net's own output in front of a layer that widens.
"""

"""Recurrent operations over bottoms [timesteps, streams, ...]."""

from filler_server.net.operations.base import Extent, Operation


class _Recurrent(Operation):
    num_output: int
    static_input: bool = False
    expose_hidden: bool = False


class LSTM(_Recurrent):
    """An LSTM whose gates stand in the order input, forget, output, candidate.

    bottom[1] is 0 where a sequence begins. The state is h and c.

    Attributes:
        num_output: the size of the state.
        static_input: whether bottom[2] is an input to all timesteps.
        expose_hidden: whether the last bottoms are the first state, and the last tops the last one; otherwise the state
            goes on from one pass to the next.
    """


class RNN(_Recurrent):
    """h = tanh(W_hh h + W_xh x + b_h), o = tanh(W_ho h + b_o); attributes as of LSTM. The state is h."""


class LSTMUnit(Operation):
    """One step of an LSTM: c before, gate input and continuation to c and h after."""


class Lstm(Operation):
    """An LSTM with gates in the order input, forget, output, candidate (junhyukoh/caffe-lstm).

    Blobs are input weight, hidden weight and bias.

    Attributes:
        batch_size: number of streams of a bottom [timesteps * streams, ...] of two axes.
        clipping_threshold: of gradients, 0 for none.
    """

    num_output: int
    batch_size: int = 1
    clipping_threshold: float = 0.0


class ContinuationIndicator(Operation):
    """[time_step, batch]: 0 in the first row, 1 in the others (intel/caffe)."""

    time_step: int
    batch: Extent

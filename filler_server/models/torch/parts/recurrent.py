"""Caffe's recurrent layers, with the parameters of PyTorch's."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LSTM(nn.LSTM):
    """Caffe's LSTM: a sequence begins wherever `cont` is 0, which has no gradient.

    Args:
        inputs: values of one stream at one timestep.
        hidden: size of the state.
        static: values of the static input of one stream, if there is one.
        streams: number of streams whose state goes on from one call to the next, where it is not given in the call.
    """

    h: Tensor
    c: Tensor

    def __init__(self, inputs: int, hidden: int, static: int | None = None, streams: int | None = None) -> None:
        super().__init__(inputs, hidden)
        if static is not None:
            self.weight_static_l0 = nn.Parameter(torch.zeros(4 * hidden, static))
        if streams is not None:
            self.register_buffer("h", torch.zeros(1, streams, hidden), persistent=False)
            self.register_buffer("c", torch.zeros(1, streams, hidden), persistent=False)

    def forward(
        self,
        x: Tensor,
        cont: Tensor,
        static: Tensor | None = None,
        state: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs [T, N, D], and h and c [1, N, D] after the last timestep."""
        gates = F.linear(x.flatten(2), self.weight_ih_l0, self.bias_ih_l0)
        if static is not None:
            gates = gates + F.linear(static.flatten(1), self.weight_static_l0)
        h, c = (kept_state(self.h, x), kept_state(self.c, x)) if state is None else state
        h, c = h[0], c[0]
        outputs: list[Tensor] = []
        for now, goes_on in zip(gates.unbind(0), cont.detach().unbind(0), strict=True):
            goes_on = goes_on[:, None].to(h.dtype)
            i, f, g, o = (now + F.linear(goes_on * h, self.weight_hh_l0, self.bias_hh_l0)).chunk(4, dim=1)
            c = goes_on * f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        if state is None:
            self.h, self.c = h[None].detach(), c[None].detach()
        return torch.stack(outputs), h[None], c[None]


class RNN(nn.RNN):
    """Caffe's RNN, whose output is another layer over the state; a sequence begins wherever `cont` is 0.

    Args:
        inputs: values of one stream at one timestep.
        hidden: size of the state and of the output.
        static: values of the static input of one stream, if there is one.
        streams: number of streams whose state goes on from one call to the next, where it is not given in the call.
    """

    h: Tensor

    def __init__(self, inputs: int, hidden: int, static: int | None = None, streams: int | None = None) -> None:
        super().__init__(inputs, hidden)
        if static is not None:
            self.weight_static_l0 = nn.Parameter(torch.zeros(hidden, static))
        self.weight_ho_l0 = nn.Parameter(torch.zeros(hidden, hidden))
        self.bias_ho_l0 = nn.Parameter(torch.zeros(hidden))
        if streams is not None:
            self.register_buffer("h", torch.zeros(1, streams, hidden), persistent=False)

    def forward(
        self, x: Tensor, cont: Tensor, static: Tensor | None = None, state: tuple[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the outputs [T, N, D], and h [1, N, D] after the last timestep."""
        inputs = F.linear(x.flatten(2), self.weight_ih_l0, self.bias_ih_l0)
        if static is not None:
            inputs = inputs + F.linear(static.flatten(1), self.weight_static_l0)
        h = (kept_state(self.h, x) if state is None else state[0])[0]
        states: list[Tensor] = []
        for now, goes_on in zip(inputs.unbind(0), cont.detach().unbind(0), strict=True):
            h = torch.tanh(now + F.linear(goes_on[:, None].to(h.dtype) * h, self.weight_hh_l0, self.bias_hh_l0))
            states.append(h)
        if state is None:
            self.h = h[None].detach()
        return torch.tanh(F.linear(torch.stack(states), self.weight_ho_l0, self.bias_ho_l0)), h[None]


def kept_state(state: Tensor, x: Tensor) -> Tensor:
    """Return a state of the call before, or one of 0 for another number of streams."""
    return state if state.shape[1] == x.shape[1] else state.new_zeros(1, x.shape[1], state.shape[2])


def lstm_unit(c: Tensor, gates: Tensor, cont: Tensor) -> tuple[Tensor, Tensor]:
    """One step of Caffe's LSTM, with gates in its order: input, forget, output, candidate."""
    i, f, o, g = gates.chunk(4, dim=2)
    c = cont.detach()[:, :, None] * f.sigmoid() * c + i.sigmoid() * g.tanh()
    return c, o.sigmoid() * c.tanh()

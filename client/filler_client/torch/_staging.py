"""Values on their way to a device: two pinned buffers, each filled while the other one is copied."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from filler_client._backend import Piece

_BYTES = 4 << 20


class Staging:
    """Two buffers in front of a device.

    On CUDA they are pinned, and their copies run beside what fills the next one; on other devices each copy is awaited.

    Args:
        device: where to.
        nbytes: length of a buffer.
    """

    def __init__(self, device: torch.device, *, nbytes: int = _BYTES) -> None:
        self._is_cuda = device.type == "cuda"
        self._device = device
        self._buffers = [
            torch.empty(nbytes, dtype=torch.uint8, device="cpu", pin_memory=self._is_cuda) for _ in range(2)
        ]
        self._copied: list[Any] = [None, None]
        self._next = 0

    def receive(self, pieces: Iterator[Piece], tensors: Sequence[torch.Tensor]) -> None:
        """Copy pieces, in the order of their stream, to the tensors of their blobs.

        Raises:
            FillerError: whatever the stream ends with.
        """
        waiting = iter(tensors)
        flat: torch.Tensor | None = None
        for piece in pieces:
            if flat is None:
                tensor = next(waiting)
                # What is not in C order is copied once more, on the device.
                flat = (tensor if tensor.is_contiguous() else torch.empty_like(tensor, memory_format=_C)).view(-1)
            self._copy(piece.data, flat.view(torch.uint8)[piece.offset : piece.offset + len(piece.data)])
            if piece.last:
                if not tensor.is_contiguous():
                    tensor.copy_(flat.view(tensor.shape))
                flat = None
        self._wait()

    def _copy(self, data: memoryview, target: torch.Tensor) -> None:
        for start in range(0, len(data), self._buffers[0].numel()):
            block = data[start : start + self._buffers[0].numel()]
            number, self._next = self._next, 1 - self._next
            if self._copied[number] is not None:
                self._copied[number].synchronize()
            buffer = self._buffers[number][: len(block)]
            buffer.numpy()[:] = np.frombuffer(block, np.uint8)
            target[start : start + len(block)].copy_(buffer, non_blocking=self._is_cuda)
            if self._is_cuda:
                self._copied[number] = torch.cuda.current_stream(self._device).record_event()

    def _wait(self) -> None:
        for event in self._copied:
            if event is not None:
                event.synchronize()


_C = torch.contiguous_format

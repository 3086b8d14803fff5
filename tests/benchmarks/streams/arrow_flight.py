"""Arrow Flight: do_get of one batch; or of batches of 1 MiB, each copied into the array."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight

from tests.benchmarks.peers.buffers import buffer
from tests.benchmarks.streams.source import MESSAGE, given_address, ready, weights


def about() -> str:
    """Return the version."""
    return f"pyarrow {pa.__version__}, memory of {pa.default_memory_pool().backend_name}"


def prepare(work: str, nbytes: int) -> Callable[[], object]:
    """`one batch`, as the array of what has arrived; or `tuned`, into an array that exists."""
    client = flight.connect(f"grpc://{given_address()}")
    ticket = flight.Ticket(f"{work}:{nbytes}".encode())

    def one_batch() -> object:
        chunk = client.do_get(ticket).read_chunk()
        return chunk.data.column(0).to_numpy(zero_copy_only=True)

    def tuned() -> None:
        out, filled = buffer(nbytes), 0
        for chunk in client.do_get(ticket):
            values = chunk.data.column(0).to_numpy(zero_copy_only=True)
            np.copyto(out[filled : filled + values.size], values)
            filled += values.size
        if filled != out.size:
            raise ConnectionError(f"{filled} of {out.size} values have arrived")

    return one_batch if work == "one batch" else tuned


class Server(flight.FlightServerBase):  # type: ignore[misc]
    """Sends memory that exists, without a copy of its own."""

    def do_get(self, context: object, ticket: flight.Ticket) -> flight.RecordBatchStream:
        """Answer a ticket `<work>:<bytes>`."""
        work, nbytes = ticket.ticket.decode().split(":")
        column = pa.array(weights(int(nbytes)))
        batch = pa.record_batch([column], names=["weights"])
        table = pa.Table.from_batches([batch])
        if work == "one batch":
            return flight.RecordBatchStream(table)
        return flight.RecordBatchStream(
            pa.RecordBatchReader.from_batches(batch.schema, table.to_batches(max_chunksize=MESSAGE // 4))
        )


def serve() -> None:
    """Serve until killed."""
    server = Server("grpc://127.0.0.1:0")
    ready(f"127.0.0.1:{server.port}")
    server.serve()


if __name__ == "__main__":
    serve()

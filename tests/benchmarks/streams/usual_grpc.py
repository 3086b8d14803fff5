"""gRPC as it is usually written in Python: messages with `bytes` that are joined, or with `repeated float`."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value

from caffe_filler.caffe.caffe_pb2 import BlobProto
from tests.benchmarks.streams.source import MESSAGE, given_address, ready, weights


def about() -> str:
    """Return the version."""
    return f"grpcio {grpc.__version__}"


def prepare(work: str, nbytes: int = 0) -> Callable[[], object]:
    """`bytes` or `floats`, a stream of messages of 1 MiB; or `call`, which is unary and answers with 2 KiB of bytes."""
    channel = grpc.insecure_channel(given_address())
    options = {"request_serializer": Int64Value.SerializeToString}
    request = Int64Value(value=nbytes)
    if work == "call":
        call = channel.unary_unary("/usual/call", response_deserializer=BytesValue.FromString, **options)
        return lambda: call(request)
    message = BytesValue if work == "bytes" else BlobProto
    stream = channel.unary_stream(f"/usual/{work}", response_deserializer=message.FromString, **options)
    if work == "bytes":
        return lambda: np.frombuffer(b"".join(part.value for part in stream(request)), np.float32)
    return lambda: np.concatenate([np.array(part.data, np.float32) for part in stream(request)])


def _bytes(request: Int64Value, context: object) -> Iterator[BytesValue]:
    data = weights(request.value)
    for start in range(0, data.size, MESSAGE // 4):
        yield BytesValue(value=data[start : start + MESSAGE // 4].tobytes())


def _floats(request: Int64Value, context: object) -> Iterator[BlobProto]:
    data = weights(request.value)
    for start in range(0, data.size, MESSAGE // 4):
        yield BlobProto(data=data[start : start + MESSAGE // 4].tolist())


def _call(request: Int64Value, context: object) -> BytesValue:
    return BytesValue(value=weights(2048).tobytes())


def serve() -> None:
    """Serve until killed."""
    server = grpc.server(ThreadPoolExecutor(32))
    handlers: dict[str, tuple[Any, Any, Any]] = {
        "bytes": (grpc.unary_stream_rpc_method_handler, _bytes, BytesValue),
        "floats": (grpc.unary_stream_rpc_method_handler, _floats, BlobProto),
        "call": (grpc.unary_unary_rpc_method_handler, _call, BytesValue),
    }
    methods = {
        name: handler(
            behaviour,
            request_deserializer=Int64Value.FromString,
            response_serializer=message.SerializeToString,
        )
        for name, (handler, behaviour, message) in handlers.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("usual", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ready(f"127.0.0.1:{port}")
    server.wait_for_termination()


if __name__ == "__main__":
    serve()

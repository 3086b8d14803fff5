"""Metrics, logs and spans of a real server, as operators see them."""

import json
import re
import struct
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.v1 import filler_pb2, filler_pb2_grpc
from filler_server.service.calls import request_id
from tests.processes import ServerProcess
from tests.service.faults.http2 import ACK, GOAWAY, PING, Connection, frame
from tests.service.scraping import scrape, until

FILL = "caffe_filler.v1.FillerService/Fill"


def lines(process: ServerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.log.splitlines()]


def calls(process: ServerProcess, name: str) -> list[dict[str, Any]]:
    """The lines of the calls of this request id, once there is one."""
    process.wait_for(f'"request_id": "{name}"')
    return [line for line in lines(process) if line.get("request_id") == name]


def blob(type_name: str, *shape: int) -> filler_pb2.BlobSpec:
    return filler_pb2.BlobSpec(filler=FillerParameter(type=type_name), shape=BlobShape(dim=shape))


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes what OpenTelemetry exports."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        for resource in request.resource_spans:
            names = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
            self.services.add(names["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def close(self) -> None:
        self._server.stop(0).wait()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def seen(collector: Collector) -> Iterator[ServerProcess]:
    """A server with all that can be seen of it, and a limit that can be passed."""
    process = ServerProcess(
        *("--metrics-listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug"),
        *("--max-request-blobs", "3", "--channelz", "--max-peer-streams", "2"),
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}", "OTEL_BSP_SCHEDULE_DELAY": "100"},
    )
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture
def stub(seen: ServerProcess) -> Iterator[filler_pb2_grpc.FillerServiceStub]:
    with grpc.insecure_channel(seen.address) as channel:
        yield filler_pb2_grpc.FillerServiceStub(channel)


def test_metrics_count_calls_bytes_and_seconds(seen: ServerProcess, stub: filler_pb2_grpc.FillerServiceStub) -> None:
    before = scrape(seen)
    ok = ("filler_requests_total", (FILL, "OK"))
    sent = 0
    for _ in range(3):
        sent += sum(
            response.ByteSize() for response in stub.Fill(filler_pb2.FillRequest(blobs=[blob("msra", 64, 4096)]))
        )
    with pytest.raises(grpc.RpcError):
        list(stub.Fill(filler_pb2.FillRequest(blobs=[blob("msar", 3)])))
    with pytest.raises(grpc.RpcError):
        list(stub.Fill(filler_pb2.FillRequest(blobs=[blob("msra", 3)] * 4)))
    stub.ListFillers(filler_pb2.ListFillersRequest())
    exhausted = ("filler_requests_total", (FILL, "RESOURCE_EXHAUSTED"))
    listed = ("filler_requests_total", ("caffe_filler.v1.FillerService/ListFillers", "OK"))
    after = until(seen, lambda values: values.get(listed, 0) > before.get(listed, 0))

    def more(name: str, *labels: str) -> float:
        return after.get((name, labels), 0) - before.get((name, labels), 0)

    assert more(*ok[:1], *ok[1]) == 3
    assert more("filler_requests_total", FILL, "NOT_FOUND") == 1
    assert more("filler_requests_total", *exhausted[1]) == 1
    assert more("filler_refusals_total", "request_blobs") == 1
    # The frames have longer varints than the messages that are read from them, by some bytes a message.
    assert sent <= more("filler_sent_bytes_total", FILL) <= sent * 1.001
    assert sent >= 3 * 2**20
    for name in ("request", "fill", "send"):
        assert more(f"filler_{name}_seconds_count", FILL) >= 3
        assert more(f"filler_{name}_seconds_sum", FILL) > 0
    assert more("filler_request_seconds_sum", FILL) >= more("filler_fill_seconds_sum", FILL)
    assert after["filler_calls_in_flight", (FILL,)] == 0
    assert after["filler_serving", ()] == 1
    assert after["filler_kernel_threads", ()] >= 1
    (build,) = [labels for name, labels in after if name == "filler_build_info"]
    assert len(build) == 6
    assert after["process_resident_memory_bytes", ()] > 2**20


def test_a_stream_counts_as_running_until_its_end(seen: ServerProcess, stub: filler_pb2_grpc.FillerServiceStub) -> None:
    running, key = ("filler_calls_in_flight", (FILL,)), ("filler_requests_total", (FILL, "CANCELLED"))
    before = scrape(seen).get(key, 0)
    stream = stub.Fill(
        filler_pb2.FillRequest(blobs=[blob("msra", 2**16, 2**12)]), metadata=[("x-request-id", "long/stream")]
    )
    next(stream)
    first = until(seen, lambda values: values[running] == 1)
    for _ in range(100):
        next(stream)
    later = scrape(seen)
    sent = ("filler_sent_bytes_total", (FILL,))
    assert later[running] == 1
    assert later[sent] > first[sent]
    assert later.get(key, 0) == before
    assert "long/stream" not in seen.log
    stream.cancel()
    ended = until(seen, lambda values: values[running] == 0)
    assert ended[key] == before + 1
    (line,) = calls(seen, "long/stream")
    assert (line["status"], line["blobs"]) == ("CANCELLED", 1)
    assert line["bytes"] >= 100 * 2**20


def test_a_missed_deadline_is_seen_as_one(seen: ServerProcess, stub: filler_pb2_grpc.FillerServiceStub) -> None:
    """Of a client that gives up long before the server's own clock says so, as on a busy machine, it is a cancel."""
    statuses = []
    request = filler_pb2.FillRequest(blobs=[blob("msra", 2**16, 2**12)])
    while "DEADLINE_EXCEEDED" not in statuses and len(statuses) < 20:
        name = f"late-{len(statuses)}"
        with pytest.raises(grpc.RpcError):
            list(stub.Fill(request, timeout=0.3, metadata=[("x-request-id", name)]))
        (line,) = calls(seen, name)
        statuses.append(line["status"])
    assert statuses[-1] == "DEADLINE_EXCEEDED"


def test_methods_that_do_not_exist_are_one_label(seen: ServerProcess) -> None:
    with grpc.insecure_channel(seen.address) as channel:
        for number in range(20):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(f"/made.up/Method{number}")(b"")
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    values = until(seen, lambda values: values.get(("filler_requests_total", ("unknown", "UNIMPLEMENTED")), 0) >= 20)
    assert not [labels for _, labels in values if "made.up" in str(labels)]


def test_a_call_is_a_line_of_json_with_the_name_that_the_client_gave(
    seen: ServerProcess, stub: filler_pb2_grpc.FillerServiceStub
) -> None:
    blobs = [blob("constant", 3), blob("constant", 5)]
    call = stub.Fill(filler_pb2.FillRequest(blobs=blobs), metadata=[("x-request-id", "job-7:rank=3")])
    assert dict(call.initial_metadata())["x-request-id"] == "job-7:rank=3"
    list(call)
    (line,) = calls(seen, "job-7:rank=3")
    assert (line["event"], line["level"], line["method"]) == ("call", "info", FILL)
    assert (line["status"], line["blobs"], line["peer"][:5]) == ("OK", 2, "ipv4:")
    assert line["bytes"] > 32
    assert line["seconds"] >= line["fill_seconds"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])
    with pytest.raises(grpc.RpcError) as caught:
        stub.PlanNet(filler_pb2.PlanNetRequest(net=b'"\n'), metadata=[("x-request-id", "broken")])
    assert dict(caught.value.initial_metadata())["x-request-id"] == "broken"
    (line,) = calls(seen, "broken")
    assert line["status"] == "INVALID_ARGUMENT"
    assert line["error"] == caught.value.details()


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "ünlaut".encode().decode("latin-1"), "a\tb"])
def test_a_name_that_a_log_cannot_bear_is_replaced(given: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", request_id([("x-request-id", given)]))


@pytest.mark.parametrize("given", ["x" * 128, "job-7:rank=3", "{\"'}\\"])
def test_any_other_name_is_taken(given: str) -> None:
    assert request_id([("other", "x"), ("x-request-id", given)]) == given


def test_a_call_without_a_name_gets_one(seen: ServerProcess, stub: filler_pb2_grpc.FillerServiceStub) -> None:
    _, first = stub.ListFillers.with_call(filler_pb2.ListFillersRequest())
    _, second = stub.ListFillers.with_call(filler_pb2.ListFillersRequest())
    names = [dict(call.initial_metadata())["x-request-id"] for call in (first, second)]
    assert len(set(names)) == 2
    for name in names:
        assert len(calls(seen, name)) == 1


def test_every_line_of_the_log_is_json(seen: ServerProcess, stub: filler_pb2_grpc.FillerServiceStub) -> None:
    stub.ListFillers(filler_pb2.ListFillersRequest(), metadata=[("x-request-id", "one-more")])
    assert calls(seen, "one-more")
    for line in lines(seen):
        assert {"event", "level", "timestamp"} <= set(line)


def test_spans_reach_a_collector_below_that_of_the_client(
    seen: ServerProcess, stub: filler_pb2_grpc.FillerServiceStub, collector: Collector
) -> None:
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    metadata = [("traceparent", f"00-{trace}-{parent}-01")]
    list(stub.Fill(filler_pb2.FillRequest(blobs=[blob("msra", 64, 4096)]), metadata=metadata))
    with pytest.raises(grpc.RpcError):
        list(stub.Fill(filler_pb2.FillRequest(blobs=[blob("msar", 3)]), metadata=metadata))
    found: list[Any] = []
    while len(found) < 2:
        time.sleep(0.05)
        found = [span for span in collector.spans if span.trace_id.hex() == trace]
    assert collector.services == {"caffe-filler"}
    for span, status, blobs in zip(found, (0, 5), (1, None), strict=True):
        attributes = {entry.key: entry.value for entry in span.attributes}
        assert (span.name, span.parent_span_id.hex(), span.kind) == (FILL, parent, span.SPAN_KIND_SERVER)
        assert attributes["rpc.grpc.status_code"].int_value == status
        assert ("filler.blobs" in attributes) == (blobs is not None)
        assert span.end_time_unix_nano > span.start_time_unix_nano
    assert attributes["rpc.method"].string_value == "Fill"


def test_channelz_where_it_is_asked_for(seen: ServerProcess, server: ServerProcess) -> None:
    request = channelz_pb2.GetServersRequest()
    with grpc.insecure_channel(seen.address) as channel:
        assert channelz_pb2_grpc.ChannelzStub(channel).GetServers(request).server
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channelz_pb2_grpc.ChannelzStub(channel).GetServers(request)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_line_for_people_is_one_line_whatever_a_client_sends(server: ServerProcess) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = filler_pb2_grpc.FillerServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            list(stub.Fill(filler_pb2.FillRequest(blobs=[blob("evil\n2026 [info] call \x1b[31mforged", 3)])))
    server.wait_for("forged")
    (line,) = [line for line in server.log.splitlines() if "forged" in line]
    assert "status='NOT_FOUND'" in line
    assert "\x1b[31mforged" not in line
    assert "evil\\n" in line


def test_the_core_of_grpc_writes_nothing_that_a_client_says(server: ServerProcess) -> None:
    with Connection(server.address) as connection:
        connection.send(frame(GOAWAY, payload=struct.pack(">II", 0, 2) + b"evil\n2026 [info] forged by goaway"))
        connection.send(frame(PING, payload=b"answered"))
        while (found := connection.next_frame(60)) is not None and found[:2] != (PING, ACK):
            pass
        assert found is not None
    assert "forged by goaway" not in server.log


def test_many_calls_at_once_are_all_counted(seen: ServerProcess) -> None:
    method = "caffe_filler.v1.FillerService/ListFillers"
    key = ("filler_requests_total", (method, "OK"))
    before = scrape(seen).get(key, 0)

    def ask() -> None:
        with grpc.insecure_channel(seen.address) as channel:
            for _ in range(50):
                filler_pb2_grpc.FillerServiceStub(channel).ListFillers(filler_pb2.ListFillersRequest())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = until(seen, lambda values: values[key] - before >= 400)
    assert values[key] - before == 400
    assert values["filler_calls_in_flight", (method,)] == 0

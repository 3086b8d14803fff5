"""One answer to health checks for several processes, on the port for health checks alone."""

from collections.abc import Callable

from filler_server.service.settings import Settings


class HealthAnswer:
    """Answers probes as long as there is a port for them.

    Args:
        settings: of the server.

    Attributes:
        address: of the port, None where there is none.

    Raises:
        InvalidArgument: it cannot be bound.
    """

    def __init__(self, settings: Settings) -> None:
        self.address: str | None = None
        self.say: Callable[[bool], None] = lambda serves: None
        """Sets whether calls are answered."""
        self.close: Callable[[], None] = lambda: None
        """Closes the port."""
        if settings.health_listen is not None:
            self._listen(settings, settings.health_listen)

    def _listen(self, settings: Settings, address: str) -> None:
        import grpc
        from grpc_health.v1 import health, health_pb2

        from caffe_filler.v1 import filler_pb2
        from filler_server.api.turns import Turns
        from filler_server.service.binding import bind
        from filler_server.service.channel_options import channel_options
        from filler_server.service.guard import RequestGuard
        from filler_server.service.probes import probe_server
        from filler_server.service.watch import CallWatch

        limits = settings.limits
        name = filler_pb2.DESCRIPTOR.services_by_name["FillerService"].full_name
        servicer = health.HealthServicer(experimental_non_blocking=False)
        watch = CallWatch(limits)
        guard = RequestGuard(limits, watch, Turns(limits), name)
        server: grpc.Server = probe_server(servicer, guard, channel_options(limits, longest=limits.probe_bytes))

        def say(serves: bool) -> None:
            answers = health_pb2.HealthCheckResponse
            for service in ("", name):
                servicer.set(service, answers.SERVING if serves else answers.NOT_SERVING)

        def close() -> None:
            server.stop(0).wait()
            watch.close()

        self.say, self.close = say, close
        say(False)
        watch.start()
        self.address = bind(server, address, None)
        server.start()

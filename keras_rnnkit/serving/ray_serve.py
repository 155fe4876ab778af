"""The same application under Ray Serve, on many processes or machines.

A stream's state is in one replica's memory, so all requests of a session must go there: Ray's consistent-hash router
does that for requests that carry its session header. Without it, a session's requests are spread over the replicas.
"""

from __future__ import annotations

from typing import Any

from keras_rnnkit.serving.settings import Settings

ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
SESSION = "x-session-id"
"""The header by which Ray finds the replica of a session."""


def serve(settings: Settings, replicas: int) -> None:
    """Run until the process is interrupted, as many replicas of the application as are asked for."""
    from ray import serve

    serve.start(http_options={"host": settings.host, "port": settings.port})
    serve.run(deployment(settings, replicas), name="keras-rnnkit", blocking=True)


def deployment(settings: Settings, replicas: int) -> Any:
    """The application as a deployment of Ray Serve; needs `pip install 'ray[serve]'`."""
    from ray import serve
    from ray.serve.config import RequestRouterConfig

    def build():
        from keras_rnnkit.serving.http.application import application

        return application(settings)

    @serve.deployment(
        name="keras-rnnkit",
        num_replicas=replicas,
        request_router_config=RequestRouterConfig(request_router_class=ROUTER),
        max_ongoing_requests=settings.max_queue,
    )
    @serve.ingress(build)
    class Application:
        """The routes are the application's own."""

    return Application.bind()  # type: ignore[attr-defined]

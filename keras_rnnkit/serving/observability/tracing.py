"""Traces of requests, by OpenTelemetry; where they go is said by its own environment (OTEL_EXPORTER_OTLP_ENDPOINT)."""

from __future__ import annotations

from typing import Any


def traced(app: Any, exporter: Any = None) -> Any:
    """The application with a span for every request; `exporter`: where spans go, by default over OTLP."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "keras-rnnkit"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetryMiddleware(app, tracer_provider=provider, exclude_spans=["receive", "send"])

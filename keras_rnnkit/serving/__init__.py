"""Serving bundles over HTTP, with NumPy and onnxruntime alone."""

from keras_rnnkit.serving.settings import Settings, SettingsError

__all__ = ["Settings", "SettingsError", "app", "serve"]


def app(settings: Settings):
    """The ASGI application for a folder of bundles, for uvicorn or another server."""
    from keras_rnnkit.serving.http.application import application

    return application(settings)


def serve(settings: Settings) -> None:
    """Serve a folder of bundles until a signal comes."""
    from keras_rnnkit.serving.server import serve as run

    run(settings)

"""Serving bundles over HTTP, with NumPy and onnxruntime alone."""

from keras_rnnkit.serving.settings import Settings, SettingsError

__all__ = ["Settings", "SettingsError", "application", "serve"]


def application(settings: Settings):
    """The ASGI application for a folder of bundles."""
    from keras_rnnkit.serving import application as module

    return module.application(settings)


def serve(settings: Settings) -> None:
    """Serve a folder of bundles until a signal comes."""
    from keras_rnnkit.serving.server import serve as run

    run(settings)

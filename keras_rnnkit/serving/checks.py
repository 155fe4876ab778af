"""What can be wrong with settings that only the machine knows: said before anything starts."""

from __future__ import annotations

from keras_rnnkit.serving.settings import Settings, SettingsError


def check_folder(settings: Settings) -> None:
    if not settings.folder.is_dir():
        raise SettingsError(
            f"There is no folder {settings.folder}. rnnkit export MODEL.keras {settings.folder}/NAME writes one."
        )


def check_providers(settings: Settings) -> None:
    """An error for execution providers that this onnxruntime does not have."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    for name in (settings.providers or "").split(",") if settings.providers is not None else []:
        if name not in available:
            raise SettingsError(
                f"--providers must be names that this onnxruntime has: {', '.join(available)}. Received: {name!r}."
            )

"""metrics.json: the numbers of a run, its settings, and the logs of every epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_rnnkit.text.files import replacing


def write_metrics(settings: Any, metrics: dict[str, Any], histories: Any) -> Path:
    """Write metrics.json into the folder of the report, which is made where it is missing. Returns that folder.

    Arguments:
        settings: the settings of the run.
        metrics: the numbers.
        histories: the logs of every epoch; by the name of the model, where there is more than one.
    """
    folder = Path(settings.out) / "report"
    folder.mkdir(parents=True, exist_ok=True)
    content = {**metrics, "settings": settings.as_json, "history": histories}
    with replacing(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    return folder

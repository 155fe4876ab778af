"""What the page shows of a model besides its answers: what its units do over a text, and where a series goes on to."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.http.bodies import object_of
from keras_rnnkit.serving.http.inference import generating
from keras_rnnkit.serving.http.requests import model_of
from keras_rnnkit.serving.http.state import ServerState
from keras_rnnkit.serving.models.activations import Activations
from keras_rnnkit.serving.models.forecast import Forecast


async def activations(server: ServerState, request: Request) -> Response:
    """{"text_input", "state", "unit"} -> {"tokens": [...], "values": [...]}: a unit's state after each token."""
    wish = Activations(model_of(server, request), await object_of(server, request))
    return await generating(server, request, wish.answer)


async def forecast(server: ServerState, request: Request) -> Response:
    """{"series": [...], "steps": n} -> {"forecast": [...]}: what the model says comes next, fed back to it n times.

    A model with bounds among its outputs has {"interval": {"level", "lower", "upper"}} too.
    """
    model, asked = model_of(server, request), await object_of(server, request)
    wish = Forecast(model, wire_format.untyped("series", asked.get("series")), asked)
    return await generating(server, request, wish.answer)

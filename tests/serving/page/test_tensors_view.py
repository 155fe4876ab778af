"""Any other model: the form made from its inputs."""

import numpy as np
import pytest

from keras_rnnkit import runtime

SENSORS = np.array([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]], np.float32)
STATION = np.array([[1, 2, 3, 4]], np.float32)


@pytest.fixture
def form(page):
    page.choose("faults")
    return page


def run(page) -> list[str]:
    page.press("Run")
    page.wait("document.querySelector('table.numbers') !== null")
    return page.value("[...document.querySelectorAll('table.numbers td')].map((cell) => cell.innerText)")


def test_the_example_runs(form):
    assert len(run(form)) == 3


def test_labels_have_their_names(form):
    run(form)
    assert form.value("[...document.querySelectorAll('table.numbers th')].map((cell) => cell.innerText)") == [
        *("cold", "fine", "hot")
    ]


def test_lines_and_json_give_the_outputs_of_the_bundle(form, folder):
    expected = runtime.load(folder / "faults").predict({"sensors": SENSORS, "station": STATION})[0]
    form.fill("sensors", "0.1 0.2, 0.3\n0.4; 0.5 0.6")
    form.fill("station", str(STATION.tolist()))
    assert [float(cell) for cell in run(form)] == pytest.approx(expected.tolist(), abs=1e-4)


def test_rows_of_a_batch_are_apart_by_an_empty_line(form):
    form.fill("sensors", "1 2 3\n\n4 5 6")
    form.fill("station", "1 2 3 4\n5 6 7 8")
    assert len(run(form)) == 6


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 2\n3 4", "“sensors” must have the shape [any, any, 3]. Received: [1, 2, 2]."),
        ("1 2 3\n4", "“sensors”: All rows must have the same length."),
        ("a b c", "“sensors” must hold numbers. Received: a."),
        ("[1, 2", "“sensors” begins with a bracket, but is no JSON"),
        ("", "“sensors” must have the shape"),
    ],
)
def test_inputs_that_do_not_fit(form, text, sentence):
    form.fill("sensors", text)
    form.press("Run")
    assert sentence in form.problem()


def test_a_model_that_only_streams_runs_one_chunk_over_a_websocket(page, folder):
    page.choose("waves")
    page.driver.execute_async_script(
        "Promise.all([import('/static/views/tensors.js'), import('/static/models/server_model.js')])"
        ".then(async ([{TensorsView}, {serverModels}]) => {"
        "  const model = (await serverModels()).find(({description}) => description.name === 'waves');"
        "  Object.assign(model.description, {sequences: false, kind: 'tensors'});"
        "  document.querySelector('#view').replaceChildren(new TensorsView(model).node);"
        "  arguments[0]();"
        "})"
    )
    page.fill("x", "0.1 0.2\n0.3 0.4")
    numbers = [float(cell) for cell in run(page)]
    expected = runtime.load(folder / "waves").predict(np.array([[[0.1, 0.2], [0.3, 0.4]]], np.float32))
    assert numbers == pytest.approx(expected.ravel().tolist(), rel=1e-3)

"""An empty page in Chromium, beside the JavaScript runtime, recorded cases and their bundles."""

import contextlib
import shutil
from pathlib import Path

from keras_rnnkit.web import onnxruntime
from keras_rnnkit.web.site import HERE
from tests.serving.page.browser import browsing
from tests.serving.page.static_pages import ORT, serving

BEGIN = """
globalThis.memories = [];
const { Memory } = WebAssembly;
WebAssembly.Memory = class extends Memory { constructor(size) { super(size); globalThis.memories.push(this); } };
globalThis.begin = async () => {
  const ort = await import("/ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const api = await import("/rnnkit/rnnkit.js");
  const cases = await (await fetch("/cases.json")).json();
  return { cases, api, open: (name, options) => api.load(`/${name}/`, { ort, ...options }) };
};
"""


@contextlib.contextmanager
def checks_page(recorded: Path, checks: str, factory):
    """The page, with the folder of `cases.json` and of the bundles at its root, and the module of that name."""
    folder = factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html><title>Checks</title><link rel=icon href=data:,><main></main>")
    shutil.copytree(HERE / "runtime", folder / "rnnkit/runtime")
    shutil.copy(HERE / "rnnkit.js", folder / "rnnkit")
    shutil.copy(Path(__file__).parent / checks, folder)
    shutil.copytree(recorded.parent, folder, dirs_exist_ok=True)
    (folder / "ort").mkdir()
    for path, file in onnxruntime.in_the_folder(ORT):
        shutil.copy(path, folder / file.address)
    with serving(folder) as address, browsing(address, factory.mktemp("profile")) as page:
        page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": BEGIN})
        page.driver.set_script_timeout(300)
        page.open()
        yield page


def answer(page, code: str):
    """What asynchronous code returns; a failure with its error."""
    answer = page.driver.execute_async_script(
        "const done = arguments[0];"
        f"(async () => {{ {code} }})().then((value) => done({{ value }}), (error) => done({{ error: String(error) }}))"
    )
    assert "error" not in answer, answer
    return answer["value"]

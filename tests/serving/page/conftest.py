"""A server over one small bundle for each kind of view, and a browser at its page; each made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_rnnkit.serving import Settings
from tests.serving.conftest import running
from tests.serving.page.browser import browsing, require_browser
from tests.serving.page.bundles import KINDS
from tests.serving.page.local_bundles import LOCAL_KINDS, export_local
from tests.serving.page.static_pages import ORT, serving
from tests.sharing import made_once


@pytest.fixture(scope="session")
def browser_exists() -> None:
    require_browser()


@pytest.fixture(scope="session")
def folder(view_bundles) -> Path:
    return view_bundles


@pytest.fixture(scope="session")
def page_settings(folder) -> Settings:
    return Settings(folder=folder, reload=0, access_log=False, max_tokens=2000)


@pytest.fixture(scope="session")
def page_server(page_settings):
    """(address, state) of a server over the bundles."""
    with running(page_settings) as (address, state):
        yield address, state


@pytest.fixture(scope="session")
def tab(browser_exists, page_server, tmp_path_factory):
    """The tab that all tests share."""
    with browsing(page_server[0], tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(tab):
    """The page in a wide window with light colours. A test fails for anything that the browser logs as an error."""
    tab.emulate(1280, "light")
    tab.complaints()
    yield tab
    assert tab.complaints() == []


@pytest.fixture(scope="session")
def local_folder(folder, tmp_path_factory) -> Path:
    """The bundles of the server, and those with a view that only a local page has."""
    exported, _ = made_once(tmp_path_factory, "local_bundles", export_local)
    every = tmp_path_factory.mktemp("local")
    for path in [*exported.iterdir(), *(folder / name for name in KINDS)]:
        (every / path.name).symlink_to(path, target_is_directory=True)
    return every


@pytest.fixture(scope="session")
def local_site(local_folder, tmp_path_factory) -> Path:
    """The page of `rnnkit web` with all bundles."""
    from keras_rnnkit.web.site import build

    out = tmp_path_factory.mktemp("web") / "site"
    build([local_folder / name for name in sorted({**KINDS, **LOCAL_KINDS})], out, ORT)
    return out


@pytest.fixture(scope="session")
def local_address(local_site):
    with serving(local_site) as address:
        yield address


@pytest.fixture
def at(tab):
    """A function that takes the shared tab to the page of another address, in a wide window with light colours."""
    base = tab.base

    def take(address: str):
        tab.base = f"http://{address}"
        tab.emulate(1280, "light")
        tab.complaints()
        return tab

    yield take
    tab.base = base
    tab.driver.get("about:blank")
    tab.complaints()


@pytest.fixture
def local(at, local_address):
    """The page of `rnnkit web`. A test fails for anything that the browser logs as an error."""
    page = at(local_address)
    if not page.value("location.href").startswith(page.base):
        page.open()
        page.wait("document.querySelectorAll('#cards a').length > 0")
    yield page
    assert page.complaints() == []

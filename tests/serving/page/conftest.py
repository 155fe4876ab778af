"""A server over one small bundle for each kind of view, and a browser at its page; each made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_rnnkit.serving import Settings
from tests.serving.conftest import running
from tests.serving.page.browser import browsing, require_browser
from tests.serving.page.bundles import export_all


@pytest.fixture(scope="session")
def browser_exists() -> None:
    require_browser()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return export_all(tmp_path_factory.mktemp("served"))


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

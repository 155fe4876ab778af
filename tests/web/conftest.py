"""What Python computed, recorded once."""

import pytest

from tests.sharing import made_once


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """The file with all cases; the bundles lie beside it."""
    from tests.web import cases

    return made_once(tmp_path_factory, "web_cases", cases.write)[1]

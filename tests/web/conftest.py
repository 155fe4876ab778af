"""What Python computed, recorded once."""

import pytest

from tests.web import cases


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """The file with all cases; the bundles lie beside it."""
    return cases.write(tmp_path_factory.mktemp("web"))

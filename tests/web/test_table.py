"""Every model of the tables of the export's tests in Chromium: the numbers and the tokens of Python."""

import json

import pytest

from tests.serving.page.browser import require_browser
from tests.serving.page.static_pages import needs_onnxruntime
from tests.web.checks_page import answer, checks_page

pytestmark = [needs_onnxruntime, pytest.mark.study]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    require_browser()
    from tests.web import table

    folder = tmp_path_factory.mktemp("table")
    table.record(folder)
    with checks_page(folder / "cases.json", "table_checks.mjs", tmp_path_factory) as page:
        yield page


def failures(page, check, change="") -> list[str]:
    """What the check finds; change: code that changes `all.cases` before."""
    code = (
        "const { checks } = await import('/table_checks.mjs'); const all = await begin();"
        f"{change} return checks[{json.dumps(check)}](all);"
    )
    return answer(page, code)


@pytest.mark.parametrize("check", ["sequences", "streams", "tokens"])
def test_every_bundle_computes_what_it_computes_in_python(page, check):
    assert failures(page, check) == []


def test_a_number_and_a_token_that_differ_are_seen(page):
    change = "all.cases.predict = all.cases.predict.slice(0, 1); all.cases.predict[0].outputs[''][0] += 2e-5;"
    assert len(failures(page, "sequences", change)) == 1
    change = "all.cases.generate = all.cases.generate.slice(0, 1); all.cases.generate[0].tokens[0][0] += 1;"
    assert len(failures(page, "tokens", change)) == 1

"""Days spelled in many languages, with what they are in English: pairs to translate, without a download."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

LANGUAGES = ("fr", "de", "es", "it", "nl", "pt", "sv", "pl")
FORMS = ("full", "long", "medium")


def date_pairs(
    count: int, seed: int = 0, languages=LANGUAGES, to: str = "en_GB", max_days: int = 1
) -> list[tuple[str, str]]:
    """Different pairs, by the Unicode consortium's tables (CLDR) through Babel. A source with the name of the day has a
    target with it too; months are written out in all targets, as a short one says no more than that.

    Arguments:
        languages: of the sources. to: of the targets.
        max_days: days of a source; more than one are put together as the language does.

    >>> date_pairs(2, seed=4, languages=["fr"])
    [('22 avr. 2044', '22 April 2044'), ('18 févr. 2001', '18 February 2001')]
    """
    babel_dates, babel_lists = _package()
    random = np.random.default_rng(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        language, form = languages[random.integers(len(languages))], FORMS[random.integers(len(FORMS))]
        number = int(random.integers(1, max_days + 1))
        days = [date(1950, 1, 1) + timedelta(days=int(random.integers(36525))) for _ in range(number)]
        source, target = (
            babel_lists.format_list([babel_dates.format_date(day, as_, name) for day in days], locale=name)
            for name, as_ in ((language, form), (to, "full" if form == "full" else "long"))
        )
        found[source] = target
    return list(found.items())


def _package():
    try:
        from babel import dates, lists
    except ModuleNotFoundError as error:
        raise ImportError("The built-in pairs need the babel package: pip install 'keras-rnnkit[translate]'") from error
    return dates, lists

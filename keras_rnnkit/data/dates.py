"""Dates spelled in many languages, with their English spelling: pairs to translate without a download."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

LANGUAGES = ("fr", "de", "es", "it", "nl", "pt", "sv", "pl")
FORMS = ("full", "long", "medium")


def date_pairs(
    count: int, seed: int = 0, languages=LANGUAGES, to: str = "en_GB", max_days: int = 1
) -> list[tuple[str, str]]:
    """Pairs of dates that are all different, spelled by the Unicode consortium's tables (CLDR) through Babel.

    A target has the name of the weekday if its source has it. Months are written out in all targets.

    Arguments:
        count: the number of pairs.
        seed: seed of the random dates.
        languages: the languages of the sources.
        to: the language of the targets.
        max_days: the largest number of dates in a source; several are joined as the language joins a list.

    >>> date_pairs(2, seed=4, languages=["fr"])
    [('22 avr. 2044', '22 April 2044'), ('18 févr. 2001', '18 February 2001')]
    """
    babel_dates, babel_lists = _package()
    random = np.random.default_rng(seed)
    pairs: dict[str, str] = {}
    while len(pairs) < count:
        language, form = languages[random.integers(len(languages))], FORMS[random.integers(len(FORMS))]
        number = int(random.integers(1, max_days + 1))
        days = [date(1950, 1, 1) + timedelta(days=int(random.integers(36525))) for _ in range(number)]
        source, target = (
            babel_lists.format_list([babel_dates.format_date(day, as_, name) for day in days], locale=name)
            for name, as_ in ((language, form), (to, "full" if form == "full" else "long"))
        )
        pairs[source] = target
    return list(pairs.items())


def _package():
    try:
        from babel import dates, lists
    except ModuleNotFoundError as error:
        raise ImportError("The built-in pairs need the babel package: pip install 'keras-rnnkit[translate]'") from error
    return dates, lists

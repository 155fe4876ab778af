"""Reviews whose verdict depends on the order of their words: generated, so that a bag of words can be seen to fail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LABELS = ("negative", "positive")

THINGS = ("food", "service", "soup", "wine", "music", "room", "view", "staff", "menu", "coffee", "cake", "terrace")
GOOD = ("good", "great", "wonderful", "excellent", "lovely", "fine", "pleasant", "superb", "delightful")
BAD = ("bad", "awful", "terrible", "poor", "dreadful", "horrible", "disappointing", "boring", "nasty")
ASIDES = (
    "we came on a monday",
    "my sister was with me",
    "it was our second visit",
    "we sat near the window",
    "a friend had told us about the place",
    "it rained all day",
)

Random = np.random.Generator


def reviews(count: int, seed: int = 0, plain: float = 0.2) -> list[tuple[str, str]]:
    """Different reviews, each with its label "negative" or "positive".

    Most turn on a negation ("not good but awful"), a contrast ("the food was awful , but the service was great": the
    main clause decides) or both; each has a twin with the same words in another order and the other label. The others
    are plain.

    Arguments:
        count: how many.
        seed: seed of the random choice.
        plain: the share of plain reviews, whose words alone tell the label.

    >>> for text, label in reviews(3, seed=4):
    ...     print(f"{label}: {text}")
    positive: the food was not delightful , but the cake was not nasty . we sat near the window .
    positive: the soup was simply pleasant .
    negative: the cake was great , but the terrace was boring .
    """
    random = np.random.default_rng(seed)
    labels: dict[str, str] = {}
    while len(labels) < count:
        text, positive = review(random, plain)
        labels[text] = LABELS[positive]
    return list(labels.items())


def review(random: Random, plain: float) -> tuple[str, bool]:
    """A review, and whether it is positive."""
    positive = bool(random.integers(2))
    kinds: tuple[Kind, ...] = (plain_words,) if random.random() < plain else TURNS
    sentences = [kinds[random.integers(len(kinds))](random, positive)]
    if random.random() < 0.6:
        sentences.insert(int(random.integers(2)), choice(random, ASIDES))
    return " . ".join(sentences) + " .", positive


def choice(random: Random, words: tuple[str, ...]) -> str:
    return words[random.integers(len(words))]


def things(random: Random) -> tuple[str, str]:
    """Two different things."""
    first, second = random.choice(len(THINGS), size=2, replace=False)
    return THINGS[first], THINGS[second]


def words_for(random: Random, positive: bool) -> tuple[str, str]:
    """A word that says the verdict, and one that says its opposite."""
    good, bad = choice(random, GOOD), choice(random, BAD)
    return (good, bad) if positive else (bad, good)


def plain_words(random: Random, positive: bool) -> str:
    verdict, _ = words_for(random, positive)
    return f"the {choice(random, THINGS)} was {choice(random, ('really', 'simply', 'always'))} {verdict}"


def negation(random: Random, positive: bool) -> str:
    verdict, opposite = words_for(random, positive)
    return f"the {choice(random, THINGS)} was not {opposite} but {verdict}"


def denial(random: Random, positive: bool) -> str:
    verdict, opposite = words_for(random, positive)
    first, second = things(random)
    return f"the {first} was never {opposite} , and the {second} was {verdict} as ever"


def contrast(random: Random, positive: bool) -> str:
    verdict, opposite = words_for(random, positive)
    first, second = things(random)
    return f"the {first} was {opposite} , but the {second} was {verdict}"


def concession(random: Random, positive: bool) -> str:
    verdict, opposite = words_for(random, positive)
    first, second = things(random)
    clauses = f"although the {first} was {opposite}", f"the {second} was {verdict}"
    return " , ".join(clauses if random.integers(2) else clauses[::-1])


def contrast_of_denials(random: Random, positive: bool) -> str:
    verdict, opposite = words_for(random, positive)
    first, second = things(random)
    return f"the {first} was not {verdict} , but the {second} was not {opposite}"


Kind = Callable[[Random, bool], str]
TURNS: tuple[Kind, ...] = (negation, denial, contrast, concession, contrast_of_denials)

"""The vocabulary of a model: its tokens, each with a number."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.text.files import TextError, replacing
from keras_rnnkit.text.units import UNITS, Characters, Unit

UNKNOWN, PADDING, BEGIN, END = "<unk>", "<pad>", "<bos>", "<eos>"
RESERVED = (PADDING, UNKNOWN, BEGIN, END)
FORMAT = 1


class Vocabulary:
    """Numbers for tokens: first the reserved ones, then the others by falling frequency, ties in sorted order.

    Arguments:
        tokens: the tokens in the order of their numbers, from 0.
        unit: how a text is split into tokens: `Characters()` (the default), `Words()` or `Subwords`.

    >>> vocabulary = Vocabulary.of("banana")
    >>> vocabulary.tokens, vocabulary.encode("nab").tolist(), vocabulary.decode([1, 0, 2])
    (['a', 'n', 'b'], [1, 0, 2], 'nab')
    >>> Vocabulary.of("banana", reserved=["<pad>", "<unk>"]).encode("band").tolist()
    [4, 2, 3, 1]
    """

    def __init__(self, tokens: Sequence[str], unit: Unit | None = None):
        self.tokens = list(tokens)
        self.unit: Unit = unit or Characters()
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        if len(self.numbers) != len(self.tokens):
            duplicate = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise TextError(f"A token must have one number. Received: {duplicate!r} twice.")

    @classmethod
    def of(
        cls,
        texts: str | Iterable[str],
        unit: Unit | None = None,
        reserved: Sequence[str] = (),
        min_count: int = 1,
        max_tokens: int | None = None,
    ) -> Vocabulary:
        """The vocabulary of the tokens of one or more texts.

        Arguments:
            texts: a text, or an iterable of texts.
            unit: how a text is split into tokens; `Characters()` by default.
            reserved: tokens that come first, such as "<pad>", "<unk>", "<bos>" and "<eos>".
            min_count: occurrences that a token must have.
            max_tokens: the largest number of tokens, including the reserved ones.
        """
        unit = unit or Characters()
        counts: Counter[str] = Counter()
        for text in [texts] if isinstance(texts, str) else texts:
            counts.update(unit.split(text))
        if not counts:
            raise TextError("The text is empty. Received: no token. Give a text with one token at least.")
        frequent = sorted(
            (t for t, n in counts.items() if n >= min_count and t not in reserved), key=lambda t: (-counts[t], t)
        )
        return cls([*reserved, *frequent][:max_tokens], unit)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self.numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def number(self, token: str) -> int | None:
        """The number of a token, such as "<eos>" where decoding ends, or None if it is not in the vocabulary."""
        return self.numbers.get(token)

    def encode(self, text: str) -> np.ndarray:
        """The numbers of the tokens of a text. Unknown tokens become `<unk>`, or raise TextError if there is none."""
        tokens, unknown = self.unit.split(text), self.numbers.get(UNKNOWN)
        try:
            numbers = [self.numbers[token] for token in tokens]
        except KeyError:
            if unknown is None:
                raise TextError(self._unknown_tokens(tokens)) from None
            numbers = [self.numbers.get(token, unknown) for token in tokens]
        return np.array(numbers, np.int32)

    def _unknown_tokens(self, tokens: list[str]) -> str:
        unknown = sorted({token for token in tokens if token not in self.numbers})
        examples = ", ".join(map(repr, unknown[:8])) + (", ..." if len(unknown) > 8 else "")
        return (
            f"The text has {len(unknown)} token(s) that the vocabulary of {len(self)} does not know: {examples}. "
            "Remove them from the text, or make the vocabulary with reserved=['<unk>']."
        )

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of these numbers without reserved tokens. For words, END is the end of a line."""
        whole = [int(number) for number in numbers]
        outside = next((number for number in whole if not 0 <= number < len(self)), None)
        if outside is not None:
            raise TextError(f"The numbers of tokens must be 0 to {len(self) - 1}. Received: {outside}.")
        tokens = [self.tokens[number] for number in whole]
        hidden = {PADDING, BEGIN} if self.unit.name == "word" else {PADDING, BEGIN, END}
        return self.unit.join([token for token in tokens if token not in hidden])

    def save(self, path: str | os.PathLike) -> None:
        """Write a JSON file from which `load` makes the same vocabulary."""
        description = {"format": FORMAT, "unit": self.unit.name, **self.unit.config(), "tokens": self.tokens}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(description, ensure_ascii=False, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Vocabulary:
        """The vocabulary of a file that `save` wrote."""
        if not Path(path).is_file():
            raise TextError(f"There is no file {str(path)!r}. Give the path of one that Vocabulary.save wrote.")
        return cls.parsed(Path(path).read_bytes(), str(path))

    @classmethod
    def parsed(cls, content: bytes, where: str) -> Vocabulary:
        """The vocabulary in the content of such a file. where: its path, for messages."""
        try:
            description = json.loads(content.decode("utf-8"))
            version, unit, tokens = (description.pop(name) for name in ("format", "unit", "tokens"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TextError(f"{where!r} is not a vocabulary that Vocabulary.save wrote ({error!r}).") from error
        if version != FORMAT or unit not in UNITS:
            raise TextError(
                f"{where!r} is a vocabulary of form {version!r} with units {unit!r}; this keras_rnnkit reads form "
                f"{FORMAT} with units {', '.join(map(repr, UNITS))}."
            )
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise TextError(f"{where!r} is not a vocabulary that Vocabulary.save wrote: its tokens must be texts.")
        try:
            return cls(tokens, UNITS[unit](**description))
        except TypeError as error:
            raise TextError(f"{where!r} is not a vocabulary that Vocabulary.save wrote ({error!r}).") from error

    def __eq__(self, other: Any) -> bool:
        own = (self.tokens, self.unit.name, self.unit.config())
        return isinstance(other, Vocabulary) and own == (other.tokens, other.unit.name, other.unit.config())

    __hash__ = None  # type: ignore[assignment]

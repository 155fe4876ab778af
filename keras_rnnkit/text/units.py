"""The tokens of a text: characters, words, or pieces of words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

LINE = "<eos>"
"""The word that stands for the end of a line, as in the classic word-level corpora."""


class Unit(Protocol):
    """A way to split a text into tokens and to join them again. Files of vocabularies hold its `name` and `config`."""

    name: str

    def split(self, text: str) -> list[str]: ...

    def join(self, tokens: Sequence[str]) -> str: ...

    def config(self) -> dict[str, Any]: ...


class Characters:
    """Every character is a token.

    >>> Characters().split("to be")
    ['t', 'o', ' ', 'b', 'e']
    """

    name = "char"

    def split(self, text: str) -> list[str]:
        return list(text)

    def join(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)

    def config(self) -> dict[str, Any]:
        return {}


class Words:
    """Every word is a token, and `<eos>` stands for the end of a line.

    Arguments:
        punctuation: whether to split punctuation from words. Texts with spaces around it, such as the Penn corpus, do
            not need this.

    >>> Words().split("to be ,\\nor not")
    ['to', 'be', ',', '<eos>', 'or', 'not']
    >>> Words(punctuation=True).split("To be, or")
    ['To', 'be', ',', 'or']
    >>> Words().join(['to', 'be', '<eos>', 'or'])
    'to be\\nor'
    """

    name = "word"

    def __init__(self, punctuation: bool = False):
        self.punctuation = punctuation
        self._pattern = re.compile(r"\n|\w+(?:['\u2019]\w+)*|[^\w\s]" if punctuation else r"\n|\S+")

    def split(self, text: str) -> list[str]:
        return [LINE if token == "\n" else token for token in self._pattern.findall(text)]

    def join(self, tokens: Sequence[str]) -> str:
        return re.sub(r" ?\n ?", "\n", " ".join("\n" if token == LINE else token for token in tokens))

    def config(self) -> dict[str, Any]:
        return {"punctuation": self.punctuation}


class Subwords:
    """Pieces of words, learned from a text by byte-pair encoding. Any text can be written with them.

    Paper: R. Sennrich, Neural machine translation of rare words with subword units, 2016. The `tokenizers` package
    learns and applies them.

    Arguments:
        pieces: a tokenizer of that package as JSON; `Subwords.learned` makes one.
    """

    name = "subword"

    def __init__(self, pieces: str):
        self.pieces = pieces
        self._tokenizer = _package().Tokenizer.from_str(pieces)

    @classmethod
    def learned(cls, texts: Iterable[str], size: int = 1000) -> Subwords:
        """Learn pieces from texts.

        Arguments:
            texts: the texts.
            size: the number of pieces, the 256 single bytes among them.

        >>> unit = Subwords.learned(["low lower lowest " * 20], size=270)
        >>> unit.join(unit.split("slow, lower")), len(unit.split("lower")) < 5
        ('slow, lower', True)
        """
        package = _package()
        tokenizer = package.Tokenizer(package.models.BPE())
        tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = package.decoders.ByteLevel()
        alphabet = package.pre_tokenizers.ByteLevel.alphabet()
        trainer = package.trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer.to_str())

    def split(self, text: str) -> list[str]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).tokens)

    def join(self, tokens: Sequence[str]) -> str:
        return str(self._tokenizer.decoder.decode(list(tokens)))

    def config(self) -> dict[str, Any]:
        return {"pieces": self.pieces}


def _package() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ModuleNotFoundError as error:
        raise ImportError("Subwords need the tokenizers package: pip install 'keras-rnnkit[text]'") from error
    return tokenizers


UNITS: dict[str, Any] = {unit.name: unit for unit in (Characters, Words, Subwords)}

"""Texts as training data: corpora, windows over long sequences, statistics and n-gram baselines."""

from keras_rnnkit.data.corpus import Corpus, read_corpus
from keras_rnnkit.data.markov import Markov
from keras_rnnkit.data.statistics import ngram_counts, plot_rank_frequency
from keras_rnnkit.data.windows import Windows
from keras_rnnkit.text import Characters, Subwords, TextError, Vocabulary, Words

__all__ = [
    "Characters",
    "Corpus",
    "Markov",
    "Subwords",
    "TextError",
    "Vocabulary",
    "Windows",
    "Words",
    "ngram_counts",
    "plot_rank_frequency",
    "read_corpus",
]

"""Training data: corpora, windows over long sequences, pairs, images with captions, statistics, n-gram models."""

from keras_rnnkit.data.corpus import Corpus, encode_file, read_corpus
from keras_rnnkit.data.dates import date_pairs
from keras_rnnkit.data.images import read_captions, read_image
from keras_rnnkit.data.markov import Markov
from keras_rnnkit.data.pairs import Pairs, read_pairs
from keras_rnnkit.data.scenes import Scenes, scenes
from keras_rnnkit.data.statistics import ngram_counts, plot_rank_frequency
from keras_rnnkit.data.windows import Windows
from keras_rnnkit.text import Characters, Subwords, TextError, Vocabulary, Words

__all__ = [
    "Characters",
    "Corpus",
    "Markov",
    "Pairs",
    "Scenes",
    "Subwords",
    "TextError",
    "Vocabulary",
    "Windows",
    "Words",
    "date_pairs",
    "encode_file",
    "ngram_counts",
    "plot_rank_frequency",
    "read_captions",
    "read_corpus",
    "read_image",
    "read_pairs",
    "scenes",
]

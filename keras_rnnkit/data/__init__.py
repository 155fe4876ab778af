"""Training data: corpora, windows over long sequences, series, pairs, images, statistics, n-gram models."""

from keras_rnnkit.data.corpus import Corpus, encode_file, read_corpus
from keras_rnnkit.data.dates import date_pairs
from keras_rnnkit.data.example_series import noisy_sine, sunspots, weekly_co2
from keras_rnnkit.data.forecast_windows import ForecastWindows, contexts_of, targets_of
from keras_rnnkit.data.images import read_captions, read_image
from keras_rnnkit.data.labelled_texts import LabelledTexts, balanced_weights, read_labelled
from keras_rnnkit.data.markov import Markov
from keras_rnnkit.data.pairs import Pairs, read_pairs
from keras_rnnkit.data.reviews import reviews
from keras_rnnkit.data.scenes import Scenes, scenes
from keras_rnnkit.data.series import Series, read_series
from keras_rnnkit.data.statistics import ngram_counts, plot_rank_frequency
from keras_rnnkit.data.tables import Table, read_table
from keras_rnnkit.data.windows import Windows
from keras_rnnkit.data.word_vectors import matrix_of, read_vectors
from keras_rnnkit.text import Characters, Subwords, TextError, Vocabulary, Words
from keras_rnnkit.tf_datasets import untuned

__all__ = [
    "Characters",
    "Corpus",
    "ForecastWindows",
    "LabelledTexts",
    "Markov",
    "Pairs",
    "Scenes",
    "Series",
    "Subwords",
    "Table",
    "TextError",
    "Vocabulary",
    "Windows",
    "Words",
    "balanced_weights",
    "contexts_of",
    "date_pairs",
    "encode_file",
    "matrix_of",
    "ngram_counts",
    "noisy_sine",
    "plot_rank_frequency",
    "read_captions",
    "read_corpus",
    "read_image",
    "read_labelled",
    "read_pairs",
    "read_series",
    "read_table",
    "read_vectors",
    "reviews",
    "scenes",
    "sunspots",
    "targets_of",
    "untuned",
    "weekly_co2",
]

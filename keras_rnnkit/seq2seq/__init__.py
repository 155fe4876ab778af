"""Sequence to sequence: an encoder, a decoder, and attention of the decoder to the source."""

from keras_rnnkit.seq2seq import attention
from keras_rnnkit.seq2seq.bridge import Bridge
from keras_rnnkit.seq2seq.decoder import Decoder, Memory
from keras_rnnkit.seq2seq.encoder import Encoded, Encoder, ImageEncoder
from keras_rnnkit.seq2seq.model import Seq2Seq
from keras_rnnkit.seq2seq.sampling import ScheduledSampling

__all__ = [
    "Bridge",
    "Decoder",
    "Encoded",
    "Encoder",
    "ImageEncoder",
    "Memory",
    "ScheduledSampling",
    "Seq2Seq",
    "attention",
]

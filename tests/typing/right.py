"""A script as a user writes it; mypy finds nothing in it. It is checked, not run."""

from pathlib import Path

import keras

import keras_rnnkit as rk

model = keras.Sequential(
    [
        keras.Input((None, 8)),
        rk.Bidirectional(rk.LSTM(32, return_sequences=True, dropout=0.1, name="reader"), merge_mode="sum"),
        rk.Stack(rk.GRU(32, reset_after=False), 2, return_sequences=True),
        rk.Recurrent(rk.cells.PeepholeLSTMCell(16), return_sequences=True, kernel="hoisted"),
        rk.LSTM(
            16, activation=keras.activations.relu, return_sequences=True, projection=8, kernel="scan", dtype="float32"
        ),
        rk.VanillaRNN(8, recurrent_initializer="identity", learn_initial_state=True),
    ]
)
rows = rk.explain(model, print_fn=None)
print(rows[0].kernel, [row.layer.upper() for row in rows])

report = rk.export_onnx(model, Path("model.onnx"), tolerance=1e-4)
print(report.error, report.path)
bundle = rk.runtime.load("exported/name")
strategy = rk.decoding.Sampling(temperature=0.8, top_p=0.9)
print(bundle.generate("Once", steps=20, strategy=strategy, seed=1).tokens.shape)
vocabulary = rk.text.Vocabulary.of("some text")
windows = rk.data.Windows(vocabulary.encode("some text"), 2, 3)
optimizer = rk.training.watched(keras.optimizers.Adam())
layer = rk.from_torch({}, return_state=True)

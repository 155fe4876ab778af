"""Mistakes that mypy reports: each line with a mark, and no other. The script is checked, not run."""

from pathlib import Path

import keras_rnnkit as rk

rk.LSTM(32, return_sequence=True)  # wrong: call-arg
rk.GRU(32, reset_afer=False)  # wrong: call-arg
rk.VanillaRNN(32, projection=8)  # wrong: call-arg
rk.LSTM("32")  # wrong: arg-type
rk.GRU(8, dropout="half")  # wrong: arg-type
rk.GRU()  # wrong: call-arg
rk.LSMT(8)  # wrong: attr-defined
rk.cells.LSTMCel(8)  # wrong: attr-defined
rk.export_onnx(None, Path("model.onnx"), tolerence=1e-4)  # wrong: call-arg
kernel = rk.explain(None)[0].kernels  # wrong: attr-defined
rk.decoding.Sampling(temprature=0.8)  # wrong: call-arg
rk.runtime.load("exported/name").predct(None)  # wrong: attr-defined

"""Records small weights and outputs of torch.nn.RNN, LSTM and GRU into torch.npz, with torch 2.13.

pip install torch==2.13.0 && python tests/layers/record_torch.py
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

CASES = {
    "lstm": (nn.LSTM, {}),
    "lstm-deep-both": (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    "lstm-projection": (nn.LSTM, {"proj_size": 2, "num_layers": 2}),
    "lstm-projection-both": (nn.LSTM, {"proj_size": 2, "bidirectional": True}),
    "lstm-no-bias": (nn.LSTM, {"bias": False}),
    "gru": (nn.GRU, {}),
    "gru-deep-both": (nn.GRU, {"num_layers": 2, "bidirectional": True, "batch_first": False}),
    "gru-no-bias": (nn.GRU, {"bias": False}),
    "rnn": (nn.RNN, {"num_layers": 2}),
    "rnn-relu-both": (nn.RNN, {"nonlinearity": "relu", "bidirectional": True}),
}


def record() -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    arrays = {}
    for name, (make, options) in CASES.items():
        module = make(3, 4, **{"batch_first": True, **options})
        x = torch.randn(2, 5, 3)
        y, states = module(x if module.batch_first else x.transpose(0, 1))
        states = states if isinstance(states, tuple) else (states,)
        arrays[f"{name}/x"], arrays[f"{name}/y"] = x, y if module.batch_first else y.transpose(0, 1)
        arrays |= {f"{name}/state_{i}": state for i, state in enumerate(states)}
        arrays |= {f"{name}/weights/{key}": value for key, value in module.state_dict().items()}
    return {key: value.detach().contiguous().numpy() for key, value in arrays.items()}


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("torch.npz"), **record())

"""The vocabulary in which cells and decoding strategies are written.

A cell is written once over `protocol.Ops` and read in three ways: by `ops.keras` when it trains, by `ops.numpy` as the
plain reference, and by `ops.onnx` when it is exported.
"""

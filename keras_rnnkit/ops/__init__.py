"""The vocabulary in which cells and decoding strategies are written.

A cell is written once over `protocol.Ops` and read several ways: by `ops.keras` when it trains, by `ops.numpy`
as the plain reference, by an ONNX emitter when it is exported.
"""

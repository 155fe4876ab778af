"""The files of a `Seq2Seq`: its encoder, one step of its decoder, and the token loop around both."""

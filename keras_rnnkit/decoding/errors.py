"""The error of decoding."""


class DecodingError(ValueError):
    """A setting of a strategy or of the token loop, or a prompt, that cannot be used.

    The message says what was received and what was expected.
    """

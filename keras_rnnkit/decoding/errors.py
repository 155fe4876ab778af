"""What goes wrong when tokens are chosen, said so that a user can act on it."""


class DecodingError(ValueError):
    """A setting of a strategy or of the token loop, or a prompt, that cannot be used: what came, what was expected."""

"""The errors of loading and running an exported model. Their messages say what to do."""


class BundleError(ValueError):
    """A bundle or one of its files cannot be used. The message says why, and what to do."""


class InputError(ValueError):
    """Arrays that a graph cannot take. The message says what came and what was expected."""

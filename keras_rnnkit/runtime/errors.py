"""What goes wrong when an exported model is loaded or run, said so that a user can act on it."""


class BundleError(ValueError):
    """A bundle, or a file of it, cannot be used: what is wrong with it and what to do."""


class InputError(ValueError):
    """Arrays a graph cannot take: what came, what was expected."""

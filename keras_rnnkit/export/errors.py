"""What goes wrong at export, said so that a user can act on it."""


class ExportError(ValueError):
    """The model was not exported: what came, what was expected, what to do. No file is left behind."""

"""What `rnnkit web` raises."""


class SiteError(ValueError):
    """A folder that cannot be made: what came, what was expected, what to do."""

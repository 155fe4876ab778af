"""What settings of commands have in common."""

from __future__ import annotations


class SettingsError(ValueError):
    """Settings that cannot be run, with the remedy in the sentence."""

"""The tests that the keras wheel ships, run on our layers."""

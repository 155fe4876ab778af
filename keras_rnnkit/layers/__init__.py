"""Layers that run cells over sequences, and layers made of them."""

"""Measurements that a user can run side by side on their own machine."""

"""What stands beside `model.fit`: callbacks so far."""

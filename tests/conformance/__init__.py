"""One table of every cell; the tests are the ways to run it."""

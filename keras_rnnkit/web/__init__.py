"""Bundles in a browser without a server: a JavaScript runtime, and a folder of files that any web server can serve."""

"""What `rnnkit demo` runs: the settings, and the pipeline they steer."""

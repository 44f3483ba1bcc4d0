"""The `gato` command: parses a command line, calls one function and prints."""

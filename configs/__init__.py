"""One run a file: `get_config()` returns a complete `RunConfig`; imported as `gato.configs`."""

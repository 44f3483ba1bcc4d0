"""One run per file: `get_config()` returns a complete `RunConfig`; imported as `gato.configs`."""

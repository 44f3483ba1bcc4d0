"""Released agents that come with the package, one folder each; installed as `gato.released`."""

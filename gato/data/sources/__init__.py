"""One module a storage format, all behind the protocol of `gato.data.episode`."""

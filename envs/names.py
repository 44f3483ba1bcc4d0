"""Task names from the names that simulators give their environments."""

import re

_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_VERSION = re.compile(r"-v\d+$")


def kebab_case(name: str) -> str:
    """ "KeyCorridorS3R1-v0" becomes "key-corridor-s3-r1": words with hyphens between, without the version."""
    return _WORD_STARTS.sub("-", _VERSION.sub("", name)).replace("_", "-").lower()

"""Equal and nearly equal records of a source, and those that leaked from the training part into the held-out part.

Exact: SHA-256 of a record's content. Near, for vectors: the root mean square difference of two fingerprints. Near, for
text: the overlap of word shingles, estimated from the smallest hashes of each text (bottom-k sketches).
Source of the sketches: Broder (1997), "On the resemblance and containment of documents".
"""

import hashlib
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gato.data.episode import Episode, tree_leaves

NEAR_DISTANCE = 0.02  # fingerprints, in standard deviations of each entry, closer than this are near-duplicates
NEAR_LENGTHS = 0.05  # and the lengths of the two records differ by no more than this share
NEAR_OVERLAP = 0.8  # texts that share this part of their shingles are near-duplicates
_SHINGLE_WORDS = 5
_SKETCH_SIZE = 64
_MAX_BUCKET = 50  # a hash that more texts share is boilerplate, and no sign of a duplicate


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """How often records of a sample repeat, and how many held-out ones also stand in the training part."""

    num_records: int  # compared with one another
    num_exact: int  # equal to a record before them
    num_near: int  # not equal, but nearly equal, to a record before them
    num_held_out: int  # held-out records among those compared
    num_leaked_exact: int  # held-out records with an equal training record
    num_leaked_near: int  # held-out records with a nearly equal training record, and no equal one
    complete: bool  # all records of the source were compared; if not, every count is a lower bound
    pairs: tuple[tuple[int, int], ...]  # (record, the earlier record that it repeats), the first few


def content_hash(*parts: Any) -> bytes:
    """Returns the SHA-256 of trees of arrays and texts: structure, dtypes, shapes and values. `Any`: any tree."""
    digest = hashlib.sha256()
    for number, part in enumerate(parts):
        for path, leaf in tree_leaves(part, str(number)):
            if isinstance(leaf, str | list):
                content, kind = repr(leaf).encode(), "text"
            else:
                array = np.ascontiguousarray(leaf)
                content, kind = array.tobytes(), f"{array.dtype} {array.shape}"
            digest.update(f"{path} {kind} {len(content)}\0".encode())
            digest.update(content)
    return digest.digest()


def episode_hash(episode: Episode) -> bytes:
    """Hashes what the network is shown: observations and actions, without rewards and seeds."""
    return content_hash(episode.observations, episode.actions)


def text_sketch(text: str) -> np.ndarray:
    """Returns the smallest hashes of the text's word shingles, ascending uint32; case and punctuation do not count."""
    words = re.findall(r"\w+", text.lower())
    count = max(len(words) - _SHINGLE_WORDS + 1, 1)
    hashes = {zlib.crc32(" ".join(words[i : i + _SHINGLE_WORDS]).encode("utf-8", "replace")) for i in range(count)}
    return np.array(sorted(hashes)[:_SKETCH_SIZE], np.uint32)


def overlap(left: np.ndarray, right: np.ndarray) -> float:
    """Estimates the share of shingles that two texts have in common, [0, 1], from their sketches.

    Source: Broder (1997): among the smallest hashes of both together, the share that both have.
    """
    union = np.union1d(left, right)[:_SKETCH_SIZE]
    return float(np.isin(union, np.intersect1d(left, right)).mean())


def near_texts(sketches: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Finds pairs (later, earlier) of texts that overlap by `NEAR_OVERLAP` or more; equal texts among them."""
    buckets: dict[int, list[int]] = {}
    pairs = []
    for index, sketch in enumerate(sketches):
        # Two texts that overlap this much share one of their smallest eight hashes, but for one time in thousands.
        keys = sketch[:8].tolist()
        candidates = {other for key in keys for other in buckets.get(key, ())}
        pairs += [(index, other) for other in sorted(candidates) if overlap(sketch, sketches[other]) >= NEAR_OVERLAP]
        for key in keys:
            bucket = buckets.setdefault(key, [])
            if len(bucket) < _MAX_BUCKET:
                bucket.append(index)
    return pairs


def near_vectors(fingerprints: np.ndarray, scales: np.ndarray, lengths: np.ndarray) -> list[tuple[int, int]]:
    """Finds pairs (later, earlier) of records whose fingerprints nearly agree; equal records among them.

    Args:
        fingerprints: (records, entries) float; one row per record.
        scales: (entries,) the unit of each entry, such as its standard deviation; entries of scale 0 are left out.
        lengths: (records,) of the records.
    """
    used = scales > 0
    points = (fingerprints[:, used] / scales[used]).astype(np.float32)
    if not points.shape[1]:
        return []
    pairs = []
    for index in range(1, len(points)):
        distances = np.sqrt(np.mean((points[:index] - points[index]) ** 2, axis=1))
        allowed = np.abs(lengths[:index] - lengths[index]) <= NEAR_LENGTHS * lengths[index]
        pairs += [(index, int(other)) for other in np.flatnonzero((distances <= NEAR_DISTANCE) & allowed)]
    return pairs


def count_duplicates(
    records: np.ndarray,
    hashes: Sequence[bytes],
    near_pairs: Iterable[tuple[int, int]],
    held_out: np.ndarray,
    *,
    complete: bool,
) -> Duplicates:
    """Counts repeated and leaked records.

    Args:
        records: (n,) their indices in the source.
        hashes: of the n records.
        near_pairs: places in `records`, (later, earlier), of records that nearly agree.
        held_out: indices in the source of the held-out records, from `gato.data.split.split_records`.
        complete: whether `records` are all there are.
    """
    is_held_out = np.isin(records, held_out)
    first: dict[bytes, int] = {}
    exact: dict[int, int] = {}
    for place, value in enumerate(hashes):
        if first.setdefault(value, place) != place:
            exact[place] = first[value]
    trained = {value for place, value in enumerate(hashes) if not is_held_out[place]}
    leaked_exact = {place for place in np.flatnonzero(is_held_out).tolist() if hashes[place] in trained}
    near: dict[int, int] = {}
    leaked_near: set[int] = set()
    for later, earlier in near_pairs:
        if hashes[later] == hashes[earlier]:
            continue
        near.setdefault(later, earlier)
        if is_held_out[later] != is_held_out[earlier]:
            leaked_near.add(later if is_held_out[later] else earlier)
    near = {later: earlier for later, earlier in near.items() if later not in exact}
    shown = [*exact.items(), *near.items()][:5]
    return Duplicates(
        num_records=len(records),
        num_exact=len(exact),
        num_near=len(near),
        num_held_out=int(is_held_out.sum()),
        num_leaked_exact=len(leaked_exact),
        num_leaked_near=len(leaked_near - leaked_exact),
        complete=complete,
        pairs=tuple((int(records[later]), int(records[earlier])) for later, earlier in shown),
    )

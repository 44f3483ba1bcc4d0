"""Released folders to and from a hub of models, through huggingface_hub (extra: hub).

What is fetched is what `release.json` names and the card, of one commit, and it is put in place only after every file
was found to be what was written.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import Any

from gato.files import new_folder
from gato.release.folder import NO_OVERWRITE, load_release
from gato.release.record import (
    CARD_FILE,
    RELEASE_FILE,
    ReleaseRecord,
    is_release_file,
    read_record,
    verify,
)

_DOWNLOAD_STATE = ".cache"  # where the client keeps what it knows about a local folder
_MAX_RECORD_BYTES = 10_000_000


def push(
    folder: Path,
    repo_id: str,
    *,
    public: bool = False,
    revision: str | None = None,
    message: str | None = None,
    api: Any = None,  # Any: the client is an optional package
) -> str:
    """Uploads a released folder as one commit, after it was loaded to see that others can.

    Args:
        folder: what else it holds stays here.
        repo_id: "owner/name"; made if there is none of that name.
        public: who can see it, if it is made.
        revision: branch; the main one if not given.
        message: of the commit.
        api: a `huggingface_hub.HfApi`; if not given, the hub's own with the token that its command line keeps.

    Returns:
        Where it can be seen.

    Raises:
        FileNotFoundError: no released folder.
        ValueError: the folder is damaged; the hub refused; huggingface_hub is missing.
    """
    if not (folder / RELEASE_FILE).is_file():
        raise FileNotFoundError(
            f"{folder} is no released folder, it has no {RELEASE_FILE}: make one with `gato export`"
        )
    load_release(folder)
    record = read_record(folder)
    api = _hugging_face() if api is None else api
    with _told(repo_id):
        api.create_repo(repo_id, private=not public, exist_ok=True)
        there = api.repo_info(repo_id, revision=revision, files_metadata=False).siblings or ()
        commit = api.create_commit(
            repo_id,
            _operations(folder, record, [file.rfilename for file in there]),
            commit_message=message or f"Weights of step {record.step}, {record.dtype}",
            revision=revision,
        )
    return str(getattr(commit, "commit_url", commit))


def pull(repo_id: str, folder: Path, *, revision: str | None = None, api: Any = None) -> Path:
    """Fetches a released folder, which appears complete and verified or not at all.

    Args:
        repo_id: "owner/name".
        folder: does not exist yet.
        revision: branch, tag or commit; the newest of the main branch if not given.
        api: as for `push`.

    Raises:
        FileExistsError: the folder exists.
        FileNotFoundError: there is no such repository or revision, or none that may be read.
        ValueError: it holds no release, a damaged one, or one of another version; huggingface_hub is missing.
    """
    api = _hugging_face() if api is None else api
    with new_folder(folder, remedy=NO_OVERWRITE) as unfinished:
        with _told(repo_id):
            info = api.repo_info(repo_id, revision=revision, files_metadata=True)
        sizes: dict[str, int | None] = {file.rfilename: file.size for file in info.siblings or ()}

        def fetch(name: str) -> None:
            with _told(repo_id):
                api.hf_hub_download(repo_id, name, revision=info.sha, local_dir=unfinished)

        if RELEASE_FILE not in sizes:
            raise ValueError(
                f"{repo_id} holds no release of gato, for it has no {RELEASE_FILE} (it has {sorted(sizes)[:9]}): other "
                "formats are not read, ask its author for what `gato export` writes"
            )
        if (sizes[RELEASE_FILE] or 0) > _MAX_RECORD_BYTES:
            raise ValueError(f"{repo_id}: {RELEASE_FILE} has {sizes[RELEASE_FILE]} bytes, no release has so many")
        fetch(RELEASE_FILE)
        record = read_record(unfinished)
        _compare_sizes(repo_id, record, sizes)
        for name in record.files:
            fetch(name)
        if CARD_FILE in sizes:
            fetch(CARD_FILE)
        rmtree(unfinished / _DOWNLOAD_STATE, ignore_errors=True)
        verify(unfinished, record)
        load_release(unfinished)
    return folder


def _operations(folder: Path, record: ReleaseRecord, there: Collection[str]) -> list[Any]:
    """Lists what a commit does: add the files of the release, delete those of an earlier release that it lacks."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete  # an optional extra

    names = [*record.files, RELEASE_FILE, *([CARD_FILE] if (folder / CARD_FILE).is_file() else [])]
    outdated = sorted(name for name in there if is_release_file(name) and name not in names)
    return [
        *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names),
        *(CommitOperationDelete(path_in_repo=name) for name in outdated),
    ]


def _compare_sizes(repo_id: str, record: ReleaseRecord, sizes: dict[str, int | None]) -> None:
    """Refuses a repository before its large files are fetched."""
    for name, written in record.files.items():
        if name not in sizes:
            raise ValueError(f"{repo_id} lacks {name}, which its {RELEASE_FILE} names: ask its author to push again")
        if sizes[name] not in (None, written.size_bytes):
            raise ValueError(
                f"{repo_id}: {name} has {sizes[name]} bytes, {written.size_bytes} were written: ask its author to push "
                "again"
            )


def _hugging_face() -> Any:
    if find_spec("huggingface_hub") is None:
        raise ValueError("a hub is reached with huggingface_hub: pip install 'gato-jax[hub]'")
    from huggingface_hub import HfApi  # an optional extra

    return HfApi()


@contextmanager
def _told(repo_id: str) -> Iterator[None]:
    """Turns the client's errors into ours, which say what to do."""
    from huggingface_hub.errors import HTTPError  # of the network below it, which is no OSError

    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, HTTPError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        said = " ".join(str(error).split())
        if status in (401, 403, 404):
            raise FileNotFoundError(
                f"{repo_id}: the hub has no such repository or revision, or you have no access to it ({said}): look at "
                "the name; log in with `hf auth login` if it is private, or to write to it"
            ) from error
        raise ValueError(f"{repo_id}: the hub could not be used ({said}): try again later") from error

"""`gato push` and `gato pull`: released folders to and from Hugging Face's hub."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.release import hub


def push(
    folder: Annotated[Path, tyro.conf.Positional],
    repo_id: Annotated[str, tyro.conf.Positional],
    public: bool = False,
    revision: str | None = None,
    message: str | None = None,
) -> None:
    """Uploads what `gato export` wrote (extra: hub). Example: gato push agent me/agent

    Args:
        folder: released folder; what else it holds stays here.
        repo_id: owner/name; made if there is none of that name.
        public: everybody sees it, if it is made; only you do if not given.
        revision: branch; the main one if not given.
        message: of the commit.
    """
    place = hub.push(folder, repo_id, public=public, revision=revision, message=message)
    Console().print(f"uploaded to {place}", soft_wrap=True)


def pull(
    repo_id: Annotated[str, tyro.conf.Positional],
    out: Annotated[Path, tyro.conf.Positional],
    revision: str | None = None,
) -> None:
    """Fetches and verifies a release (extra: hub). Example: gato pull me/agent agent

    Args:
        repo_id: owner/name.
        out: folder to write; it must not exist.
        revision: branch, tag or commit; the newest of the main branch if not given.
    """
    Console().print(f"verified, written to {hub.pull(repo_id, out, revision=revision)}", soft_wrap=True)

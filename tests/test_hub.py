"""Pushing and pulling: what goes up is the release alone, and what comes down is put in place only when it is whole."""

import dataclasses
import http.server
import inspect
import json
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from gato.checkpoint import DamagedCheckpointError
from gato.release import RELEASE_FILE, identity
from gato.release.hub import pull, push
from gato.release.record import read_record

RELEASE = Path(__file__).parent / "fixtures" / "release_v1"
COMMIT = "c0ffee" * 6 + "c0ff"
OUTDATED = "model-00001-of-00002.safetensors"


class FolderHub:
    """A hub with one repository, which is a folder; refuses what the real client has no argument for."""

    def __init__(self, folder: Path, *, private=None):
        self.folder, self.private, self.fetched = folder, private, []

    def create_repo(self, repo_id, *, private, exist_ok):
        check_arguments("create_repo", repo_id, private=private, exist_ok=exist_ok)
        if self.private is None:
            self.private = private
        self.folder.mkdir(exist_ok=exist_ok)

    def create_commit(self, repo_id, operations, *, commit_message, revision):
        check_arguments("create_commit", repo_id, operations, commit_message=commit_message, revision=revision)
        for operation in operations:
            if hasattr(operation, "path_or_fileobj"):
                shutil.copy(operation.path_or_fileobj, self.folder / operation.path_in_repo)
            else:
                (self.folder / operation.path_in_repo).unlink()
        return SimpleNamespace(commit_url=f"hub/{repo_id}/commit/1")

    def repo_info(self, repo_id, *, revision, files_metadata):
        check_arguments("repo_info", repo_id, revision=revision, files_metadata=files_metadata)
        siblings = [SimpleNamespace(rfilename=path.name, size=path.stat().st_size) for path in self.folder.iterdir()]
        return SimpleNamespace(sha=COMMIT, siblings=siblings)

    def hf_hub_download(self, repo_id, filename, *, revision, local_dir):
        check_arguments("hf_hub_download", repo_id, filename, revision=revision, local_dir=local_dir)
        assert revision == COMMIT  # one commit for all files, however the branch moves on
        self.fetched.append(filename)
        (local_dir / ".cache" / "huggingface").mkdir(parents=True, exist_ok=True)
        return str(shutil.copy(self.folder / filename, local_dir / filename))


def check_arguments(method, *arguments, **keywords):
    """The real client takes a call like this."""
    client = pytest.importorskip("huggingface_hub").HfApi
    inspect.signature(getattr(client, method)).bind(client, *arguments, **keywords)


@pytest.fixture
def release(tmp_path):
    return Path(shutil.copytree(RELEASE, tmp_path / "release"))


@pytest.fixture
def hub(tmp_path):
    return FolderHub(Path(shutil.copytree(RELEASE, tmp_path / "hub")))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_pushed_is_pulled(release, tmp_path):
    hub = FolderHub(tmp_path / "hub")
    assert push(release, "me/agent", api=hub) == "hub/me/agent/commit/1"
    assert pull("me/agent", tmp_path / "copy", api=hub) == tmp_path / "copy"
    assert names(tmp_path / "copy") == names(release)
    for path in release.iterdir():
        assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()


def test_a_push_is_one_commit(release, hub):
    commits = []
    hub.create_commit = lambda *arguments, **options: commits.append((arguments, options))
    push(release, "me/agent", revision="main", message="better ones", api=hub)
    (((repo_id, operations), options),) = commits
    assert (repo_id, options) == ("me/agent", {"commit_message": "better ones", "revision": "main"})
    assert sorted(operation.path_in_repo for operation in operations) == names(RELEASE)


def test_a_push_is_private_unless_said_otherwise(release, tmp_path):
    for public in (False, True):
        hub = FolderHub(tmp_path / f"hub-{public}")
        push(release, "me/agent", public=public, api=hub)
        assert hub.private is not public


def test_nothing_but_the_release_goes_up_and_outdated_parameters_go(release, hub):
    (release / "films").mkdir()
    (release / "films" / "film.gif").write_bytes(b"GIF89a")
    (release / "notes.txt").write_text("to myself")
    (hub.folder / OUTDATED).write_bytes(b"of an earlier push")
    (hub.folder / ".gitattributes").write_text("kept")
    (hub.folder / "LICENSE").write_text("kept")
    push(release, "me/agent", api=hub)
    assert names(hub.folder) == sorted([*names(RELEASE), ".gitattributes", "LICENSE"])


def test_what_is_no_whole_release_is_not_pushed(release, tmp_path):
    hub = FolderHub(tmp_path / "hub")
    (release / "tokenizer.model").write_bytes(b"")
    with pytest.raises(DamagedCheckpointError, match=r"tokenizer\.model has 0 bytes"):
        push(release, "me/agent", api=hub)
    with pytest.raises(FileNotFoundError, match=r"has no release\.json.*gato export"):
        push(RELEASE.parent / "run_v1", "me/agent", api=hub)
    assert not hub.folder.exists()


def test_a_pull_fetches_no_more_than_the_release(hub, tmp_path):
    (hub.folder / "pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")
    (hub.folder / "modeling_gato.py").write_text("raise SystemExit")
    pull("me/agent", tmp_path / "copy", api=hub)
    assert names(tmp_path / "copy") == names(RELEASE)
    assert sorted(hub.fetched) == names(RELEASE)


def test_a_repository_without_a_card_can_be_pulled(hub, tmp_path):
    (hub.folder / "README.md").unlink()
    assert identity(pull("me/agent", tmp_path / "copy", api=hub)) == identity(RELEASE)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rename_file(folder):
    record = read_record(folder)
    files = {**record.files, "../evil.safetensors": record.files["model.safetensors"]}
    (folder / RELEASE_FILE).write_text(dataclasses.replace(record, files=files).to_json())


@pytest.mark.parametrize(
    ("damage", "message", "fetched"),
    [
        (lambda folder: flip(folder / "model.safetensors"), r"model\.safetensors was altered", None),
        (lambda folder: flip(folder / "config.json"), r"config\.json was altered", None),
        (lambda folder: flip(folder / RELEASE_FILE), r"release\.json", [RELEASE_FILE]),
        (lambda folder: (folder / "tokenizer.model").unlink(), "lacks tokenizer.model, which", [RELEASE_FILE]),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"x"),
            r"model\.safetensors has 1 bytes, 46320 were written",
            [RELEASE_FILE],
        ),
        (rename_file, "names the file '../evil.safetensors'", [RELEASE_FILE]),
        (lambda folder: (folder / RELEASE_FILE).unlink(), r"no release of gato.*no release\.json.*gato export", []),
        (lambda folder: (folder / RELEASE_FILE).write_bytes(bytes(10_000_001)), "no release has so many", []),
    ],
    ids=["parameters", "config", "record", "missing", "size", "escape", "none", "huge record"],
)
def test_what_is_not_whole_is_not_put_in_place(hub, tmp_path, damage, message, fetched):
    damage(hub.folder)
    before = names(tmp_path)
    with pytest.raises(ValueError, match=message):
        pull("me/agent", tmp_path / "copy", api=hub)
    assert names(tmp_path) == before
    assert fetched is None or hub.fetched == fetched  # large files are not fetched to be refused


def test_a_pull_never_overwrites(hub, release):
    with pytest.raises(FileExistsError, match="never overwritten"):
        pull("me/agent", release, api=hub)
    assert hub.fetched == []


def test_the_extra_is_named_where_it_is_missing(release, tmp_path, monkeypatch):
    monkeypatch.setattr("gato.release.hub.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'gato-jax\[hub\]'"):
        push(release, "me/agent")
    with pytest.raises(ValueError, match=r"pip install 'gato-jax\[hub\]'"):
        pull("me/agent", tmp_path / "copy")


class Server(http.server.BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download needs, out of a folder."""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        folder = self.server.folder
        if self.path.startswith("/api/models/me/agent"):
            files = [{"rfilename": path.name, "size": path.stat().st_size} for path in folder.iterdir()]
            return self.answer(200, json.dumps({"id": "me/agent", "sha": COMMIT, "siblings": files}).encode())
        name = self.path.partition("/resolve/")[2].partition("/")[2]
        if self.path.startswith("/me/agent/resolve/") and (folder / name).is_file():
            return self.answer(200, (folder / name).read_bytes())
        return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})

    def answer(self, status, content, headers=None):
        self.send_response(status)
        described = {
            "ETag": f'"{hash(content):x}"',
            "X-Repo-Commit": COMMIT,
            "Content-Length": len(content),
        }
        for name, value in {**described, **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def client(hub):
    """The real client, and a hub on this machine."""
    library = pytest.importorskip("huggingface_hub")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.folder = hub.folder
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield library.HfApi(endpoint=f"http://127.0.0.1:{server.server_address[1]}", token=False)
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_real_client_pulls_from_a_hub_on_this_machine(client, hub, tmp_path):
    assert identity(pull("me/agent", tmp_path / "copy", api=client)) == identity(RELEASE)
    assert names(tmp_path / "copy") == names(RELEASE)
    flip(hub.folder / "model.safetensors")
    with pytest.raises(DamagedCheckpointError, match="was altered"):
        pull("me/agent", tmp_path / "other", api=client)
    assert not (tmp_path / "other").exists()


def test_the_real_clients_errors_say_what_to_do(client, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"me/nobody: the hub has no such repository.*hf auth login"):
        pull("me/nobody", tmp_path / "copy", api=client)
    with pytest.raises(ValueError, match="not a repo"):
        pull("not a repo", tmp_path / "copy", api=client)
    unreachable = type(client)(endpoint="http://127.0.0.1:1", token=False)
    with pytest.raises(ValueError, match="me/agent: the hub could not be used"):
        pull("me/agent", tmp_path / "copy", api=unreachable)
    assert not (tmp_path / "copy").exists()

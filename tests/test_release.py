"""Weights to share: what comes back is what was written, nothing private goes out, and nothing foreign gets in."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sentencepiece
from safetensors.numpy import load_file, save_file

from gato.checkpoint import Checkpoint, DamagedCheckpointError, save_checkpoint
from gato.config import DataConfig, FieldScale, ModelConfig, RunConfig, SourceConfig, TokenizerConfig
from gato.inference.agent import Agent
from gato.model.gato import matrix_mask
from gato.release import RELEASE_FILE, identity, load_checkpoint, load_config, write_release
from gato.release.record import describe, read_record
from gato.release.tensors import expected_parameters
from gato.tokenizer.text import TextTokenizer

SECRET = "/home/somebody/secret/place"
FIELDS = (FieldScale(path="observation", low=(0.0,), high=(2.0,)),)
TEXTS = ["go to the red ball", "pick up the grey key", "open the door on your left"]


@pytest.fixture(scope="module")
def text():
    return TextTokenizer.train(TEXTS, 264)


@pytest.fixture(scope="module")
def checkpoint(text):
    """Of a tiny network, made by an author whose disk has places that are nobody's business."""
    sources = (
        SourceConfig(name="crane", kind="minari", path=SECRET, weight=3.0, scaling="range", fields=FIELDS),
        SourceConfig(name="books", kind="text", path="books.jsonl", options={"field": "secret-field"}),
        SourceConfig(
            name="ant",
            kind="huggingface",
            path="jat-project/jat-dataset",
            options={"hub": True, "subset": "mujoco-ant", "split": "train", "cache": SECRET},
        ),
    )
    config = RunConfig(
        name="trial",
        tokenizer=TokenizerConfig(
            text_vocab_size=text.vocab_size, num_bins=8, num_discrete=8, patch_size=4, local_position_size=8
        ),
        model=ModelConfig(
            width=16, num_layers=2, num_heads=2, head_dim=8, mlp_width=16, patch_channels=4, patch_groups=2
        ),
        data=DataConfig(sources=sources),
    )
    rng = np.random.default_rng(0)
    # Column by column, as a transposed array lies in memory.
    params = jax.tree.map(
        lambda leaf: np.asfortranarray(rng.normal(size=leaf.shape).astype(leaf.dtype)), expected_parameters(config)
    )
    return Checkpoint(
        step=7, config=config, params=params, tokenizer_model=text.to_bytes(), train_state=None, data_state=None
    )


def write(folder, checkpoint, **options):
    settings = {"card": "# A card\n", "written_by": "9.8.7", "exported_from": {"step": 7, "sha256": "abc"}}
    return write_release(folder, checkpoint, **{**settings, **options})


@pytest.fixture(scope="module")
def written(checkpoint, tmp_path_factory):
    """A released folder that tests read only."""
    return write(tmp_path_factory.mktemp("shared") / "agent", checkpoint)


@pytest.fixture
def release(written, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(written, tmp_path / "agent"))


def seal(folder, **changes):
    """Makes the record fit the files as they are now, as somebody would who means ill and can compute a digest."""
    record = dataclasses.replace(read_record(folder), files=describe(folder), **changes)
    (folder / RELEASE_FILE).write_text(record.to_json())


def rewrite(folder, change):
    """Alters the content of release.json and its digest with it."""
    content = json.loads((folder / RELEASE_FILE).read_text())
    del content["sha256"]
    change(content)
    content["sha256"] = digest_of(content)
    (folder / RELEASE_FILE).write_text(json.dumps(content))


def digest_of(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def equal(left, right):
    leaves = jax.tree.leaves_with_path(left), jax.tree.leaves_with_path(right)
    return len(leaves[0]) == len(leaves[1]) and all(
        path == other and a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for (path, a), (other, b) in zip(*leaves, strict=True)
    )


# What comes back


def test_float32_comes_back_to_the_bit(checkpoint, written):
    loaded = load_checkpoint(written)
    assert equal(loaded.params, checkpoint.params)
    assert (loaded.step, loaded.tokenizer_model) == (7, checkpoint.tokenizer_model)
    assert loaded.config.model == checkpoint.config.model
    assert loaded.config.tokenizer == checkpoint.config.tokenizer
    assert load_config(written) == loaded.config


def test_bfloat16_comes_back_within_its_rounding(checkpoint, written, tmp_path):
    folder = write(tmp_path / "half", checkpoint, dtype="bfloat16")
    loaded = load_checkpoint(folder).params
    is_matrix = matrix_mask(checkpoint.params)

    def compare(found, original, rounded):
        assert found.dtype == np.float32
        if rounded:
            np.testing.assert_array_equal(found, original.astype(jnp.bfloat16).astype(np.float32))
            np.testing.assert_allclose(found, original, rtol=2**-8, atol=1e-38)  # eight significant bits
        else:
            np.testing.assert_array_equal(found, original)

    jax.tree.map(compare, loaded, checkpoint.params, is_matrix)
    assert not equal(loaded, checkpoint.params)
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, written)]
    assert sizes[0] < 0.7 * sizes[1]


def test_other_tools_read_the_parameters_by_dotted_names(checkpoint, written):
    tensors = load_file(written / "model.safetensors")
    np.testing.assert_array_equal(tensors["embedding.tokens"], checkpoint.params["embedding"]["tokens"])
    kernel = checkpoint.params["transformer"]["blocks"]["mlp"]["up"]["kernel"]
    np.testing.assert_array_equal(tensors["transformer.blocks.mlp.up.kernel"], kernel)
    assert len(tensors) == len(jax.tree.leaves(checkpoint.params))


def test_large_weights_lie_in_several_files_with_an_index(checkpoint, tmp_path):
    folder = write(tmp_path / "shards", checkpoint, max_shard_bytes=8_000)
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    count = len(files)
    assert files == [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    assert count > 2
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    tensors = {name: load_file(folder / name) for name in files}
    assert index["weight_map"] == {tensor: file for file in files for tensor in tensors[file]}
    sizes = [sum(array.nbytes for array in shard.values()) for shard in tensors.values()]
    assert index["metadata"]["total_size"] == sum(sizes)
    assert all(size <= 8_000 or len(shard) == 1 for size, shard in zip(sizes, tensors.values(), strict=True))
    assert equal(load_checkpoint(folder).params, checkpoint.params)


def test_the_same_weights_make_the_same_release(checkpoint, written, tmp_path):
    again = write(tmp_path / "again", checkpoint)
    assert identity(again) == identity(written)
    assert identity(write(tmp_path / "half", checkpoint, dtype="bfloat16")) != identity(written)


def test_a_release_can_be_released_in_another_type(checkpoint, written, tmp_path):
    direct = write(tmp_path / "direct", checkpoint, dtype="bfloat16")
    detour = write(tmp_path / "detour", load_checkpoint(written), dtype="bfloat16")
    assert identity(direct) == identity(detour)


def test_an_agent_is_loaded_from_it_with_its_scales(written, text):
    agent = Agent.load(written)
    assert agent.fields["crane"] == FIELDS
    assert agent.text.to_bytes() == text.to_bytes()


def test_without_a_tokenizer_there_is_none(checkpoint, tmp_path):
    folder = write(tmp_path / "mute", dataclasses.replace(checkpoint, tokenizer_model=None))
    assert not (folder / "tokenizer.model").exists()
    assert load_checkpoint(folder).tokenizer_model is None


def test_runs_and_their_checkpoints_are_opened_as_ever(checkpoint, tmp_path):
    step = save_checkpoint(
        tmp_path,
        step=7,
        params=checkpoint.params,
        train_state={"count": np.zeros(())},
        data_state={},
        config=checkpoint.config,
        tokenizer_model=checkpoint.tokenizer_model,
    )
    for path in (tmp_path, step):
        assert equal(load_checkpoint(path).params, checkpoint.params)
        assert load_config(path) == checkpoint.config
        assert identity(path)["step"] == 7


# How it is written


def test_it_is_never_overwritten(checkpoint, written, tmp_path):
    for taken in (written, tmp_path):
        with pytest.raises(FileExistsError, match="never overwritten, choose another folder"):
            write(taken, checkpoint)
    assert equal(load_checkpoint(written).params, checkpoint.params)


def test_what_cannot_be_written_whole_leaves_nothing(checkpoint, tmp_path):
    broken = jax.tree.map(np.array, checkpoint.params)
    broken["transformer"]["final_norm"]["scale"][3] = np.nan
    with pytest.raises(ValueError, match=r"'transformer\.final_norm\.scale' has values that are not finite as float32"):
        write(tmp_path / "agent", dataclasses.replace(checkpoint, params=broken))
    broken["transformer"]["final_norm"]["scale"][3] = 1
    broken["embedding"]["tokens"][0, 0] = 3.4e38  # finite as float32, beyond the largest bfloat16 when rounded
    with pytest.raises(ValueError, match=r"'embedding\.tokens' has values that are not finite as bfloat16"):
        write(tmp_path / "agent", dataclasses.replace(checkpoint, params=broken), dtype="bfloat16")
    assert list(tmp_path.iterdir()) == []


def test_parameters_of_another_network_are_refused(checkpoint, tmp_path):
    wider = dataclasses.replace(checkpoint.config, model=dataclasses.replace(checkpoint.config.model, width=32))
    with pytest.raises(ValueError, match="parameters of the checkpoint do not fit the config: embedding/"):
        write(tmp_path / "agent", dataclasses.replace(checkpoint, config=wider))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [({"dtype": "float16"}, "dtype is 'float16', expected one of"), ({"max_shard_bytes": 0}, "max_shard_bytes is 0")],
)
def test_wrong_options_are_refused(checkpoint, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "agent", checkpoint, **options)


def test_whoever_may_read_the_config_may_read_the_weights(written):
    assert len({path.stat().st_mode for path in written.iterdir()}) == 1


# What does not go out


def test_no_place_of_the_authors_machine_is_told(checkpoint, written):
    for path in written.iterdir():
        content = path.read_bytes()
        for private in (SECRET, "books.jsonl", "secret-field", "somebody"):
            assert private.encode() not in content, path.name
    crane, books, ant = load_config(written).data.sources
    assert (crane.path, crane.options) == ("", {})
    assert (books.path, books.options) == ("", {})
    assert ant.path == "jat-project/jat-dataset"
    assert ant.options == {"hub": True, "subset": "mujoco-ant", "split": "train"}


def test_what_tells_how_it_was_trained_is_kept(checkpoint, written):
    kept = load_config(written)
    for before, after in zip(checkpoint.config.data.sources, kept.data.sources, strict=True):
        assert dataclasses.replace(before, path="", options={}) == dataclasses.replace(after, path="", options={})
    assert dataclasses.replace(kept, data=checkpoint.config.data) == checkpoint.config


@pytest.mark.parametrize("place", [SECRET, "~/runs", "C:\\runs", "\\\\server\\runs"])
def test_a_path_in_any_other_setting_is_refused(checkpoint, tmp_path, place):
    named = dataclasses.replace(checkpoint, config=dataclasses.replace(checkpoint.config, name=place))
    with pytest.raises(ValueError, match=r"config\.name is .*, a place on this machine"):
        write(tmp_path / "agent", named)


def test_a_tokenizer_does_not_tell_what_files_it_was_trained_from(checkpoint, tmp_path):
    corpus = tmp_path / "somebodys-secret-corpus.txt"
    corpus.write_text("\n".join(TEXTS))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(tmp_path / "somebodys-prefix"),
        model_type="bpe",
        vocab_size=290,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        pad_id=-1,
        minloglevel=2,
    )
    model = (tmp_path / "somebodys-prefix.model").read_bytes()
    assert b"somebodys-secret" in model
    assert b"somebodys-prefix" in model
    folder = write(tmp_path / "agent", dataclasses.replace(checkpoint, tokenizer_model=model))
    released = (folder / "tokenizer.model").read_bytes()
    assert b"somebodys" not in released
    before, after = TextTokenizer.from_bytes(model), TextTokenizer.from_bytes(released)
    for sample in (*TEXTS, "a new  word\n", "\u65e5\u672c"):
        np.testing.assert_array_equal(before.encode(sample), after.encode(sample))
        assert after.decode(after.encode(sample)) == sample
    # Beside the two strings no more than their tags and lengths has gone.
    assert len(model) - len(released) <= len(str(corpus)) + len(str(tmp_path / "somebodys-prefix")) + 8


def test_a_damaged_tokenizer_is_refused(checkpoint, tmp_path):
    for model in (checkpoint.tokenizer_model[:-3], b"\xff" * 30, b"\x80\x04K\x01."):
        with pytest.raises(ValueError, match="the SentencePiece model"):
            write(tmp_path / "agent", dataclasses.replace(checkpoint, tokenizer_model=model))
    assert list(tmp_path.iterdir()) == []


# What does not get in


def test_a_flipped_bit_in_any_file_but_the_card_is_found(release):
    rng = np.random.default_rng(0)
    for path in sorted(release.iterdir()):
        original = path.read_bytes()
        data = bytearray(original)
        data[rng.integers(len(data))] ^= 1
        path.write_bytes(data)
        if path.name == "README.md":
            load_checkpoint(release)
        else:
            with pytest.raises(DamagedCheckpointError, match=path.name):
                load_checkpoint(release)
        path.write_bytes(original)
    load_checkpoint(release)


def test_a_missing_or_shortened_file_is_named(release):
    path = release / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedCheckpointError, match=r"model\.safetensors has \d+ bytes, \d+ were written: get"):
        load_checkpoint(release)
    assert load_config(release).name == "trial"  # which does not need it
    path.unlink()
    with pytest.raises(DamagedCheckpointError, match=r"model\.safetensors is missing"):
        load_checkpoint(release)


def test_a_card_may_be_edited_and_films_may_be_added(release, written):
    (release / "README.md").write_text("mine")
    (release / "films").mkdir()
    (release / "films" / "film.gif").write_bytes(b"GIF89a")
    (release / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    assert identity(release) == identity(written)
    load_checkpoint(release)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.PKL", "old.ckpt"])
def test_a_pickle_is_refused_with_advice(release, name):
    (release / name).write_bytes(b"\x80\x04K\x01.")
    for read in (load_checkpoint, load_config, identity, Agent.load):
        with pytest.raises(ValueError, match=f"{name} looks like a pickle file, which can run any code .*safetensors"):
            read(release)


def test_a_pickle_in_place_of_a_release_is_refused_with_advice(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ValueError, match=r"looks like a pickle file.*gato export"):
        load_checkpoint(tmp_path)


def test_a_pickle_under_the_name_of_a_tensor_file_is_no_tensor_file(release):
    (release / "model.safetensors").write_bytes(b"\x80\x04cposix\nsystem\n(S'touch pwned'\ntR.")
    seal(release)
    with pytest.raises(DamagedCheckpointError, match="no whole safetensors file"):
        load_checkpoint(release)


def test_other_folders_and_files_are_refused_with_what_they_lack(release, tmp_path):
    (release / RELEASE_FILE).unlink()
    with pytest.raises(ValueError, match=r"holds model\.safetensors but no release\.json"):
        load_checkpoint(release)
    with pytest.raises(ValueError, match=r"model\.safetensors is a file, expected a run folder"):
        load_checkpoint(release / "model.safetensors")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_checkpoint(tmp_path / "nowhere")


def test_a_folder_that_is_two_things_is_refused(release):
    (release / "checkpoints").mkdir()
    with pytest.raises(ValueError, match=r"holds release\.json and checkpoints: it cannot be a release and a run"):
        load_checkpoint(release)


def test_other_tensors_beside_those_of_the_release_are_refused(release):
    save_file({"a": np.zeros(3)}, release / "model-00002-of-00002.safetensors")
    with pytest.raises(DamagedCheckpointError, match=r"model-00002-of-00002\.safetensors is not part of the release"):
        load_checkpoint(release)


# The digests are right in all that follows: the folder was made by somebody who can compute them.


def header_of(size):
    return size.to_bytes(8, "little")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        header_of(2**40) + b"{}",
        header_of(2**63) + b"{}",
        header_of(8) + b'{"a":{}}'[:4],
        header_of(2) + b"[]",
        header_of(60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     ' + bytes(4),
        header_of(90_000) + b'{"a":' * 18_000,
    ],
    ids=["empty", "header of a terabyte", "header beyond all", "cut header", "list", "cut data", "deep header"],
)
def test_a_tensor_file_that_is_none_is_refused(release, content):
    (release / "model.safetensors").write_bytes(content)
    seal(release)
    with pytest.raises(DamagedCheckpointError, match="is no whole safetensors file"):
        load_checkpoint(release)


def altered(tensors, change):
    tensors = dict(tensors)
    change(tensors)
    return tensors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("embedding.tokens"), r"lacks the tensor 'embedding\.tokens' \(1 of \d+ are missing\)"),
        (lambda t: t.update(backdoor=np.zeros(2)), "holds the tensor 'backdoor', which this network has not"),
        (
            lambda t: t.update({"embedding.tokens": t["embedding.tokens"].T.copy()}),
            r"'embedding\.tokens' is float32\[16, \d+\], expected float32 or bfloat16 \[\d+, 16\]",
        ),
        (
            lambda t: t.update({"embedding.tokens": t["embedding.tokens"].astype(np.int32)}),
            r"'embedding\.tokens' is I32\[",
        ),
    ],
    ids=["missing", "foreign", "shape", "type"],
)
def test_tensors_of_another_network_are_refused(release, change, message):
    path = release / "model.safetensors"
    save_file(altered(load_file(path), change), path)
    seal(release)
    with pytest.raises(DamagedCheckpointError, match=message):
        load_checkpoint(release)


def test_a_tensor_that_two_files_hold_is_refused(checkpoint, tmp_path):
    folder = write(tmp_path / "shards", checkpoint, max_shard_bytes=8_000)
    first, second, *_ = sorted(folder.glob("*.safetensors"))
    name, array = next(iter(load_file(first).items()))
    save_file({**load_file(second), name: array}, second)
    seal(folder)
    with pytest.raises(DamagedCheckpointError, match=f"'{name}', which {first.name} holds too"):
        load_checkpoint(folder)


def test_another_release_version_is_refused_by_its_number(release):
    rewrite(release, lambda content: content.update(format_version=2, written_by="3.1.4", shape_of_things="to come"))
    for read in (load_checkpoint, load_config, identity):
        with pytest.raises(ValueError, match=r"release version 2, written by '3\.1\.4'; this version of gato reads 1"):
            read(release)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config.update(frequency=3), "config has no field 'frequency'"),
        (lambda config: config["model"].update(num_experts=8), r"config\.model has no field 'num_experts'"),
        (lambda config: config["model"].update(compute_dtype="float8"), r"compute_dtype is 'float8'"),
        (lambda config: config.update(model=[]), r"config\.model is \[\]"),
        (lambda config: config["model"].update(rotary_base=10**400), "too large"),
    ],
)
def test_settings_of_a_later_version_are_refused_by_the_writers_version(release, change, message):
    config = json.loads((release / "config.json").read_text())
    change(config)
    (release / "config.json").write_text(json.dumps(config))
    seal(release)
    for read in (load_checkpoint, load_config):
        with pytest.raises(ValueError, match=f"{message}.*written by '9.8.7': use that version, or a newer one"):
            read(release)


@pytest.mark.parametrize("sizes", [{"patch_groups": 0}, {"width": 10**12}, {"num_layers": 10**9}, {"num_heads": -1}])
def test_a_config_of_a_monstrous_network_is_refused_before_anything_is_made(release, sizes):
    config = json.loads((release / "config.json").read_text())
    config["model"].update(sizes)
    (release / "config.json").write_text(json.dumps(config))
    seal(release)
    with pytest.raises(ValueError, match=r"describes no network|expected float32 or bfloat16"):
        load_checkpoint(release)


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "model.safetensors/../x", "run_me.py", "weights.bin"])
def test_a_record_that_names_other_files_is_refused(release, name):
    rewrite(release, lambda content: content["files"].update({name: {"size_bytes": 1, "sha256": "0"}}))
    with pytest.raises(DamagedCheckpointError, match="which no release of gato has"):
        load_checkpoint(release)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(format="other"), "is of format 'other'"),
        (lambda content: content.update(step="7"), "step is '7', expected int"),
        (lambda content: content.update(surprise=1), "cannot be read"),
        (lambda content: content.update(files=[]), "cannot be read"),
        (lambda content: content.pop("dtype"), "cannot be read"),
        (lambda content: content["files"].pop("config.json"), "expected a config and parameters"),
        (lambda content: content["files"].pop("model.safetensors"), "expected a config and parameters"),
    ],
)
def test_a_record_of_another_shape_is_refused(release, change, message):
    rewrite(release, change)
    with pytest.raises(DamagedCheckpointError, match=message):
        load_checkpoint(release)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"sha256": 1}'])
def test_a_record_that_is_no_record_is_refused(release, content):
    (release / RELEASE_FILE).write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=r"release\.json cannot be read"):
        load_checkpoint(release)


def test_a_tokenizer_of_another_size_is_refused(release):
    larger = TextTokenizer.train(TEXTS, 266)
    larger.save(release / "tokenizer.model")
    seal(release)
    with pytest.raises(ValueError, match="has 266 pieces, but the network was made for 264"):
        Agent.load(release)


AUDITED = """
import sys
from pathlib import Path
from gato.inference.agent import Agent
from gato.tokenizer.text import TextTokenizer  # all imports are done before anything is watched
seen = []
watched = (
    "pickle.find_class", "marshal.loads", "exec", "compile", "import", "code.__new__", "ctypes.dlopen",
    "os.system", "os.exec", "subprocess.Popen", "socket.connect", "socket.getaddrinfo",
)
Agent.load(Path(sys.argv[1]))  # what is imported and compiled on first use is not what a folder brings
sys.addaudithook(lambda event, arguments: seen.append((event, str(arguments)[:200])) if event in watched else None)
Agent.load(Path(sys.argv[2]))
print(seen)
"""


@pytest.mark.slow
def test_loading_runs_no_code_and_opens_no_connection(written, release):
    output = subprocess.run(
        [sys.executable, "-c", AUDITED, str(written), str(release)], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"

"""WebDataset shards: samples are put together by name, and whatever is odd about a tar file is named."""

import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gato.data.episode import Dialogue, ImageText
from gato.data.sources import webdataset
from gato.data.sources.webdataset import WebdatasetSource


def pixels(number):
    return np.random.default_rng(number).integers(0, 256, (4, 5, 3), np.uint8)


def encoded(number, kind="PNG", **options):
    content = io.BytesIO()
    Image.fromarray(pixels(number)).save(content, kind, **options)
    return content.getvalue()


def write(path, files, **options):
    """A tar file of (name, content) pairs."""
    with tarfile.open(path, "w", **options) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def captioned(numbers):
    return [
        (f"{number:04d}.{ending}", content)
        for number in numbers
        for ending, content in (("png", encoded(number)), ("txt", f"picture {number}".encode()))
    ]


def texts(source):
    return [source[index].text for index in range(len(source))]


def test_captioned_pictures_come_back(tmp_path):
    source = WebdatasetSource(write(tmp_path / "a.tar", captioned(range(3))), "shards")
    assert texts(source) == ["picture 0", "picture 1", "picture 2"]
    for index in (2, 0, 1):
        assert isinstance(source[index], ImageText)
        np.testing.assert_array_equal(source[index].image, pixels(index))


@pytest.mark.parametrize(
    "kind, ending, options",
    [("PNG", "png", {}), ("PNG", "PNG", {}), ("JPEG", "jpg", {}), ("JPEG", "jpeg", {}), ("WEBP", "webp", {})],
)
def test_pictures_of_several_formats_are_read(tmp_path, kind, ending, options):
    files = [(f"a.{ending}", encoded(0, kind, **options)), ("a.caption", b"one")]
    assert WebdatasetSource(write(tmp_path / "a.tar", files), "shards")[0].image.shape == (4, 5, 3)


def test_samples_are_put_together_by_folder_and_name_up_to_the_first_dot(tmp_path):
    files = [
        ("a/x.png", encoded(0)),
        ("b/x.png", encoded(1)),
        ("a/x.txt", b"one"),
        ("b/x.txt", b"two\n"),
        ("c.d/y.z.png", encoded(2)),
        ("c.d/y.png", encoded(3)),
        ("c.d/y.txt", "drei é".encode()),
        ("c.d/y.cls", b"7"),
    ]
    source = WebdatasetSource(write(tmp_path / "a.tar", files), "shards")
    assert texts(source) == ["one", "two", "drei é"]
    np.testing.assert_array_equal(source[2].image, pixels(3))
    other = WebdatasetSource(tmp_path / "a.tar", "shards", image="z.png", skip_incomplete=True)
    assert texts(other) == ["drei é"]
    np.testing.assert_array_equal(other[0].image, pixels(2))


def test_captions_may_be_a_field_of_a_json_object(tmp_path):
    files = [("0.png", encoded(0)), ("0.json", json.dumps({"top": "é", "url": "x"}).encode()), ("0.txt", b"other")]
    source = WebdatasetSource(write(tmp_path / "a.tar", files), "shards", caption="top")
    assert texts(source) == ["é"]


def test_questions_and_answers_become_dialogues_about_the_picture(tmp_path):
    files = [("0.png", encoded(0)), ("0.json", b'{"q": "What?", "a": "That."}')]
    record = WebdatasetSource(write(tmp_path / "a.tar", files), "shards", question="q", answer="a")[0]
    assert isinstance(record, Dialogue)
    assert record.turns == (("user", "What?"), ("agent", "That."))
    np.testing.assert_array_equal(record.image, pixels(0))


def test_shards_of_a_folder_or_a_pattern_are_read_in_order(tmp_path):
    for number, parts in ((0, range(2)), (1, range(2, 3)), (2, range(3, 5)), (10, range(5, 6))):
        write(tmp_path / f"train-{number:04d}.tar", captioned(parts))
    (tmp_path / "notes.txt").write_text("something else")
    everything = [f"picture {i}" for i in range(6)]
    assert texts(WebdatasetSource(tmp_path, "shards")) == everything
    assert texts(WebdatasetSource(f"{tmp_path}/train-{{0000..0002}}.tar", "shards")) == everything[:5]
    two_ranges = WebdatasetSource(f"{tmp_path}/train-00{{0..1}}{{0..0}}.tar", "shards")
    assert texts(two_ranges) == [*everything[:2], "picture 5"]
    with pytest.raises(FileNotFoundError, match=r"^shards: .*train-0003\.tar does not exist"):
        WebdatasetSource(f"{tmp_path}/train-{{0000..0003}}.tar", "shards")


@pytest.mark.parametrize("range_", ["{3..1}", "{0..99999999}"])
def test_a_pattern_that_names_no_files_or_too_many_is_refused(tmp_path, range_):
    with pytest.raises(ValueError, match=r"^shards: the pattern .* names -?\d+ files, expected 1 to"):
        WebdatasetSource(f"{tmp_path}/{range_}.tar", "shards")


@settings(deadline=None, max_examples=30)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="./\0", exclude_categories=["Cs"]), min_size=1, max_size=120).filter(
            lambda key: not key.startswith("__")
        ),
        st.text(min_size=1, max_size=20).filter(lambda text: text == text.strip()),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_any_names_and_captions_come_back(tmp_path_factory, captions, tar_format):
    picture = encoded(0)
    files = [
        part for key, text in captions.items() for part in ((f"{key}.png", picture), (f"{key}.txt", text.encode()))
    ]
    path = write(tmp_path_factory.mktemp("any") / "a.tar", files, format=tar_format)
    assert texts(WebdatasetSource(path, "shards")) == list(captions.values())


def test_hidden_and_special_files_are_left_alone(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        folder = tarfile.TarInfo("part")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in [("part/._0.png", b"x"), ("__meta__.txt", b"x"), *captioned(range(1))]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert texts(WebdatasetSource(path, "shards")) == ["picture 0"]


@pytest.mark.parametrize("missing", [0, 1])
def test_incomplete_samples_are_refused_or_left_out(tmp_path, missing):
    files = captioned(range(3))
    del files[2 + missing]
    path = write(tmp_path / "a.tar", files)
    with pytest.raises(ValueError, match=r"^shards: .*a\.tar: sample '0001' has .* expected one of .*: set skip_incom"):
        WebdatasetSource(path, "shards")
    assert texts(WebdatasetSource(path, "shards", skip_incomplete=True)) == ["picture 0", "picture 2"]


@pytest.mark.parametrize(
    "extra, match",
    [
        (("0000.jpg", b""), r"sample '0000' has \['jpg', 'png', 'txt'\], expected one image and one text"),
        (("0000.caption", b""), r"sample '0000' has \['caption', 'png', 'txt'\], expected one image and one text"),
        (("0000.TXT", b""), "holds '0000.TXT' twice, expected every file once"),
    ],
)
def test_samples_with_too_much_are_refused(tmp_path, extra, match):
    with pytest.raises(ValueError, match=rf"^shards: .*a\.tar:? {match}"):
        WebdatasetSource(write(tmp_path / "a.tar", [*captioned(range(1)), extra]), "shards")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("0.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ValueError, match=r"^shards: .*'0\.png' is no plain file in it"):
        WebdatasetSource(path, "shards")


@pytest.mark.parametrize(
    "options", [{"question": "q"}, {"answer": "a"}, {"caption": "c", "question": "q", "answer": "a"}]
)
def test_options_that_do_not_go_together_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="expected a caption, or a question and an answer, or none of them"):
        WebdatasetSource(write(tmp_path / "a.tar", captioned(range(1))), "shards", **options)


@pytest.mark.parametrize(
    "content, match",
    [
        (b"{", "its .json is damaged"),
        (b"[" * 100_000, "its .json is damaged"),
        (b"[1]", "its .json holds list, expected an object"),
        (b"\xff", "its .json is not UTF-8"),
        (b'{"x": 1}', r"field 'top' of its .json is absent, expected text; there are \['x'\]"),
        (b'{"top": 1}', "field 'top' of its .json is int, expected text"),
        (b'{"top": " "}', "the caption of the image is empty"),
    ],
)
def test_damaged_json_is_refused_by_sample(tmp_path, content, match):
    path = write(tmp_path / "a.tar", [("x/0.png", encoded(0)), ("x/0.json", content)])
    source = WebdatasetSource(path, "shards", caption="top")
    with pytest.raises(ValueError, match=rf"^shards: .*a\.tar: sample 'x/0': {match}"):
        source[0]


@pytest.mark.parametrize(
    "files, match",
    [
        ([("0.png", b"no picture"), ("0.txt", b"a")], "cannot be decoded"),
        ([("0.png", encoded(0)[:-30]), ("0.txt", b"a")], "cannot be decoded"),
        ([("0.png", encoded(0)), ("0.txt", b"\xff")], "its caption is not UTF-8"),
        ([("0.png", encoded(0)), ("0.txt", b" \n")], "the caption of the image is empty"),
    ],
)
def test_damaged_samples_are_refused_by_name(tmp_path, files, match):
    source = WebdatasetSource(write(tmp_path / "a.tar", files), "shards")
    with pytest.raises(ValueError, match=rf"^shards: .*a\.tar: sample '0': {match}"):
        source[0]


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    content = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(content, "PNG")
    source = WebdatasetSource(write(tmp_path / "a.tar", [("0.png", content.getvalue()), ("0.txt", b"a")]), "shards")
    with pytest.raises(ValueError, match=r"sample '0': (20000 x 20000 pixels|cannot be decoded)"):
        source[0]


@pytest.mark.parametrize("name", ["0.png", "0.txt"])
def test_a_file_of_too_many_bytes_is_refused_before_it_is_read(tmp_path, monkeypatch, name):
    monkeypatch.setattr(webdataset, "MAX_FILE_BYTES", 1000)
    files = {"0.png": encoded(0), "0.txt": b"a"}
    source = WebdatasetSource(write(tmp_path / "a.tar", (files | {name: bytes(1001)}).items()), "shards")
    with pytest.raises(ValueError, match=r"sample '0': its (picture|text) has 1001 bytes, expected at most 1000"):
        source[0]


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"^shards: .*gone\.tar does not exist, expected a \.tar file, a folder"
    ):
        WebdatasetSource(tmp_path / "gone.tar", "shards")


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^shards: .* holds no \.tar file"):
        WebdatasetSource(tmp_path, "shards")


def test_shards_without_samples_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^shards: .* holds no sample, expected \.png/.* with \.txt/\.caption"):
        WebdatasetSource(write(tmp_path / "a.tar", []), "shards")


@pytest.mark.parametrize("content", [b"", b"no tar file" * 100])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(ValueError, match=r"^shards: .*a\.tar is (no tar file that can be read|damaged or cut short)"):
        WebdatasetSource(tmp_path, "shards")


def test_a_compressed_shard_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("0.txt"))
    with pytest.raises(ValueError, match=r"no tar file that can be read .*; a compressed one must be unpacked"):
        WebdatasetSource(tmp_path, "shards")


@pytest.mark.parametrize("size", [600, 1024, 1500, 1536, 2100])
def test_a_shard_cut_short_is_refused_wherever_it_ends(tmp_path, size):
    # Each file takes a header and a content of one block of 512 bytes here.
    content = write(tmp_path / "a.tar", captioned(range(4))).read_bytes()
    (tmp_path / "a.tar").write_bytes(content[:size])
    with pytest.raises(ValueError, match=r"^shards: .*a\.tar is (damaged or )?cut short"):
        WebdatasetSource(tmp_path, "shards", skip_incomplete=True)


def test_a_damaged_header_within_a_shard_is_refused(tmp_path):
    content = bytearray(write(tmp_path / "a.tar", captioned(range(4))).read_bytes())
    content[2048 + 100] ^= 1
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(ValueError, match=r"^shards: .*a\.tar is damaged or cut short at byte 2048"):
        WebdatasetSource(tmp_path, "shards", skip_incomplete=True)

"""Pictures with text in folders and zip files: read as they were written, refused by place."""

import io
import json
import os
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gato.data.episode import Dialogue, ImageText
from gato.data.sources import images
from gato.data.sources.images import ImageSource, decode_image, write_images

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def picture(seed=0, shape=(6, 5, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image, file_format="PNG", **options):
    """A picture file; the image as an array or as Pillow has it."""
    content = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(content, file_format, **options)
    return content.getvalue()


def write_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_zip(path, files):
    with zipfile.ZipFile(path / "pictures.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path / "pictures.zip"


def jsonl(*lines):
    return "\n".join(json.dumps(line) for line in lines).encode()


def question(image, question, answer):
    return {"image": image, "question": question, "answer": answer}


@pytest.fixture(params=[write_folder, write_zip], ids=["folder", "zip"])
def write(request, tmp_path):
    """Writes files into a folder or a zip file, and returns its path."""
    return lambda files: request.param(tmp_path, files)


def test_captions_stand_beside_their_pictures(write):
    a, b = picture(0), picture(1, (3, 9, 3))
    lines = jsonl({"image": "b.png", "caption": "bee"}, {"image": "deep/a.png", "caption": "ay"})
    path = write({"deep/a.png": encoded(a), "b.png": encoded(b), "list.jsonl": lines, "LICENSE": b"free"})
    source = ImageSource(path, "shapes", "captions")
    assert source.name == "shapes"
    assert [source[i].text for i in range(len(source))] == ["bee", "ay"]
    np.testing.assert_array_equal(source[0].image, b)
    np.testing.assert_array_equal(source[1].image, a)


def test_pictures_are_named_relative_to_the_list(write):
    files = {
        "set/list.jsonl": jsonl({"image": "./images/a.png", "caption": "a"}),
        "set/images/a.png": encoded(picture()),
    }
    np.testing.assert_array_equal(ImageSource(write(files), "shapes", "captions")[0].image, picture())


def test_questions_that_follow_each_other_about_one_picture_are_one_dialogue(write):
    lines = jsonl(
        question("a.png", "what?", "a ball"),
        question("a.png", "which?", "the red one"),
        question("b.png", "what?", "a box"),
        question("a.png", "where?", "there"),
    )
    path = write({"a.png": encoded(picture(0)), "b.png": encoded(picture(1)), "list.jsonl": lines})
    source = ImageSource(path, "shapes", "questions")
    assert [source[i].turns for i in range(len(source))] == [
        (("user", "what?"), ("agent", "a ball"), ("user", "which?"), ("agent", "the red one")),
        (("user", "what?"), ("agent", "a box")),
        (("user", "where?"), ("agent", "there")),
    ]
    for index, seed in enumerate([0, 1, 0]):
        np.testing.assert_array_equal(source[index].image, picture(seed))


def test_captions_of_one_picture_are_records_of_their_own(write):
    lines = jsonl({"image": "a.png", "caption": "one"}, {"image": "a.png", "caption": "two"})
    source = ImageSource(write({"a.png": encoded(picture()), "list.jsonl": lines}), "shapes", "captions")
    assert [source[i].text for i in range(len(source))] == ["one", "two"]


@settings(deadline=None, max_examples=30)
@given(
    shapes=st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([None, 1, 3, 4])), min_size=1, max_size=5
    ),
    captions=st.lists(words, min_size=5, max_size=5),
)
def test_written_captions_come_back(tmp_path_factory, shapes, captions):
    path = tmp_path_factory.mktemp("pictures") / "shapes.zip"
    items = [
        ImageText(image=picture(i, tuple(n for n in shape if n)), text=caption)
        for i, (shape, caption) in enumerate(zip(shapes, captions, strict=False))
    ]
    write_images(path, iter(items))
    source = ImageSource(path, "shapes", "captions")
    assert len(source) == len(items)
    for index, item in enumerate(items):
        expected = item.image[:, :, 0] if item.image.shape[2:] == (1,) else item.image
        np.testing.assert_array_equal(source[index].image, expected)
        assert source[index].text == item.text


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.tuples(words, words), min_size=1, max_size=3), min_size=1, max_size=4))
def test_written_questions_come_back(tmp_path_factory, dialogues):
    path = tmp_path_factory.mktemp("pictures") / "shapes.zip"
    items = [
        Dialogue(image=picture(i), turns=tuple(turn for q, a in dialogue for turn in (("user", q), ("agent", a))))
        for i, dialogue in enumerate(dialogues)
    ]
    write_images(path, items)
    source = ImageSource(path, "shapes", "questions")
    assert [source[i].turns for i in range(len(source))] == [item.turns for item in items]
    for index, item in enumerate(items):
        np.testing.assert_array_equal(source[index].image, item.image)


def test_equal_items_give_equal_bytes(tmp_path):
    for name in ("a.zip", "b.zip"):
        write_images(tmp_path / name, [ImageText(image=picture(i), text=f"no {i} é") for i in range(3)])
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # and not of today


def test_equal_pictures_are_stored_once(tmp_path):
    items = [ImageText(image=picture(i % 2), text=f"no {i}") for i in range(6)]
    write_images(tmp_path / "a.zip", items)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert sorted(archive.namelist()) == ["000000.png", "000001.png", "pictures.jsonl"]
    source = ImageSource(tmp_path / "a.zip", "shapes", "captions")
    for index, item in enumerate(items):
        np.testing.assert_array_equal(source[index].image, item.image)


def test_pictures_of_equal_bytes_and_other_shapes_are_not_equal(tmp_path):
    images = [np.zeros((2, 6), np.uint8), np.zeros((3, 4), np.uint8), np.zeros((2, 2, 3), np.uint8)]
    write_images(tmp_path / "a.zip", [ImageText(image=image, text="black") for image in images])
    source = ImageSource(tmp_path / "a.zip", "shapes", "captions")
    assert [source[i].image.shape for i in range(3)] == [(2, 6), (3, 4), (2, 2, 3)]


def test_a_missing_folder_is_made(tmp_path):
    write_images(str(tmp_path / "some" / "a.zip"), [ImageText(image=picture(), text="a")])
    assert len(ImageSource(str(tmp_path / "some" / "a.zip"), "shapes", "captions")) == 1


def test_an_interrupted_recording_leaves_nothing(tmp_path):
    def recorded():
        yield ImageText(image=picture(), text="a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_images(tmp_path / "a.zip", recorded())
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    def recorded():
        yield ImageText(image=picture(), text="a")
        assert not (tmp_path / "a.zip").exists()

    write_images(tmp_path / "a.zip", recorded())
    assert os.listdir(tmp_path) == ["a.zip"]


def test_an_existing_file_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"a\.zip exists: delete it or choose another path"):
        write_images(tmp_path / "a.zip", [ImageText(image=picture(), text="a")])
    assert (tmp_path / "a.zip").read_bytes() == b"mine"


CAPTION = ImageText(image=picture(), text="a")
QUESTION = Dialogue(image=picture(), turns=(("user", "what?"), ("agent", "that")))


@pytest.mark.parametrize(
    "items, match",
    [
        ([], r"the items hold 0 kinds \[\], expected all captions or all dialogues"),
        ([CAPTION, QUESTION], "the items hold 2 kinds .* expected all captions or all dialogues"),
        ([Dialogue(turns=QUESTION.turns)], "expected user and agent in turn, and an image beside them"),
        (
            [Dialogue(turns=QUESTION.turns[:1], image=picture())],
            r"the turns are by \['user'\], expected user and agent",
        ),
        ([Dialogue(turns=QUESTION.turns[::-1], image=picture())], r"the turns are by \['agent', 'user'\], expected"),
        ([Dialogue(turns=QUESTION.turns[:1] * 2, image=picture())], r"the turns are by \['user', 'user'\], expected"),
    ],
    ids=["none", "mixed", "no-picture", "no-answer", "answer-first", "questions-only"],
)
def test_items_without_a_stored_form_are_refused(tmp_path, items, match):
    with pytest.raises(ValueError, match=match):
        write_images(tmp_path / "a.zip", items)
    assert list(tmp_path.iterdir()) == []


GREY = picture(0, (4, 6))


@pytest.mark.parametrize(
    "image, expected",
    [
        (GREY, GREY),
        (picture(0, (4, 6, 3)), picture(0, (4, 6, 3))),
        (picture(0, (4, 6, 4)), picture(0, (4, 6, 4))),
        (
            Image.fromarray(picture(0, (4, 6))).convert("LA"),
            np.dstack([picture(0, (4, 6))] * 3 + [np.full((4, 6), 255)]),
        ),
        (Image.fromarray(picture(0, (4, 6)) > 99), np.dstack([255 * (picture(0, (4, 6)) > 99)] * 3)),
    ],
    ids=["grey", "colour", "transparent", "grey-transparent", "two-colours"],
)
def test_pictures_of_eight_bits_are_decoded_exactly(image, expected):
    decoded = decode_image(encoded(image))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, expected)


def test_a_palette_is_looked_up():
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, 2:, 0] = 200
    image[:2, :, 2] = 100
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(image).quantize(8))), image)


def test_a_transparent_palette_entry_stays_transparent():
    image = Image.fromarray(picture(0, (4, 6)) % 2).convert("P")
    alpha = decode_image(encoded(image, transparency=1))[:, :, 3]
    np.testing.assert_array_equal(alpha, np.where(picture(0, (4, 6)) % 2 == 1, 0, 255))


def test_a_jpeg_is_decoded_to_about_what_it_was():
    smooth = np.broadcast_to(np.linspace(0, 255, 32).astype(np.uint8)[:, None, None], (32, 32, 3))
    decoded = decode_image(encoded(np.ascontiguousarray(smooth), "JPEG", quality=95))
    assert np.abs(decoded.astype(int) - smooth).max() <= 8


def test_a_picture_taken_sideways_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    np.testing.assert_array_equal(decode_image(encoded(picture(), exif=exif)), np.rot90(picture(), -1))


@pytest.mark.parametrize(
    "image, file_format, mode",
    [
        (np.full((4, 6), 40_000, np.uint16), "PNG", "I;16"),
        (np.full((4, 6), 40_000, np.int32), "TIFF", "I"),
        (np.full((4, 6), 0.5, np.float32), "TIFF", "F"),
    ],
)
def test_pictures_of_more_than_eight_bits_are_refused(image, file_format, mode):
    with pytest.raises(ValueError, match=f"its pixels have mode '{mode}.*', expected 8 bits a channel"):
        decode_image(encoded(image, file_format))


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(50)], ids=["empty", "text", "png"]
)
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(ValueError, match=r"cannot be decoded .* expected a PNG, JPEG or other picture"):
        decode_image(content)


@given(position=st.integers(33, 1200), value=st.integers(1, 255))
def test_a_damaged_picture_is_refused_or_still_a_picture(position, value):
    content = bytearray(encoded(picture(0, (20, 20, 3))))
    content[position] ^= value
    try:
        decoded = decode_image(bytes(content))
    except ValueError:
        return
    assert decoded.dtype == np.uint8
    assert decoded.shape[:2] == (20, 20)


@given(share=st.floats(0, 0.95))
@settings(deadline=None)
def test_a_picture_cut_short_is_refused(share):
    content = encoded(picture(0, (20, 20, 3)))
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode_image(content[: int(share * len(content))])


def test_a_picture_of_too_many_pixels_is_refused():
    assert decode_image(encoded(picture(0, (4, 6, 3))), max_pixels=24).shape == (4, 6, 3)
    with pytest.raises(ValueError, match="6 x 4 pixels, expected at most 23: scale it down"):
        decode_image(encoded(picture(0, (4, 6, 3))), max_pixels=23)


@pytest.mark.parametrize("side", [5_000, 60_000])
def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(side):
    # A header that promises more than there is.
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunks = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big") + encoded(picture())[33:]
    with pytest.raises(ValueError, match=r"pixels|cannot be decoded"):
        decode_image(b"\x89PNG\r\n\x1a\n" + chunks)


def source_error(path, kind="captions"):
    """The message with which a source is refused, when opened or when its second record is read."""
    with pytest.raises(ValueError) as caught:
        ImageSource(path, "shapes", kind)[1]
    return str(caught.value)


TWO = jsonl({"image": "a.png", "caption": "a"}, {"image": "b.png", "caption": "b"})


def test_a_damaged_picture_is_refused_by_line(write):
    path = write({"a.png": encoded(picture()), "b.png": encoded(picture())[:60], "list.jsonl": TWO})
    message = source_error(path)
    assert message.startswith(f"shapes: {path}/list.jsonl:2: image 'b.png': cannot be decoded")


def test_a_missing_picture_is_refused_by_line(write):
    path = write({"a.png": encoded(picture()), "list.jsonl": TWO})
    assert source_error(path) == f"shapes: {path}/list.jsonl:2: image 'b.png' is not in {path}"


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname"])
def test_a_picture_outside_is_refused(tmp_path, name):
    (tmp_path / "secret.png").write_bytes(encoded(picture()))
    (tmp_path / "set").mkdir()
    write_folder(tmp_path / "set", {"list.jsonl": jsonl({"image": name, "caption": "a"})})
    assert "list.jsonl:1: image " in source_error(tmp_path / "set")


def test_a_picture_file_that_is_too_large_is_refused_by_line(write, monkeypatch):
    large = encoded(picture(0, (40, 40, 3)))
    monkeypatch.setattr(images, "MAX_FILE_BYTES", len(large) - 1)
    path = write({"a.png": encoded(picture()), "b.png": large, "list.jsonl": TWO})
    assert len(ImageSource(path, "shapes", "captions")) == 2
    expected = f"image 'b.png': {len(large)} bytes, expected at most {len(large) - 1}"
    assert source_error(path).endswith(f"list.jsonl:2: {expected}")


@pytest.mark.parametrize(
    "files, match",
    [
        ({"a.png": b""}, "holds 0 .jsonl files [], expected exactly one"),
        (
            {"a.jsonl": TWO, "deep/b.jsonl": TWO},
            "holds 2 .jsonl files ['a.jsonl', 'deep/b.jsonl'], expected exactly one",
        ),
        ({"a.jsonl": b"\n"}, "/a.jsonl holds no lines, expected the fields ['image', 'caption']"),
        ({"a.jsonl": b'{"image": "a.png"}'}, "/a.jsonl:1 lacks the field 'caption', found ['image']"),
        ({"a.jsonl": b'{"image": 3, "caption": "a"}'}, "/a.jsonl:1: field 'image' is int, expected str"),
        ({"a.jsonl": b"\xff"}, "/a.jsonl is not UTF-8"),
    ],
    ids=["no-list", "two-lists", "no-lines", "no-caption", "no-name", "no-utf8"],
)
def test_a_list_that_is_not_as_expected_is_refused_by_place(write, files, match):
    path = write(files)
    message = source_error(path)
    assert message.startswith(f"shapes: {path}")
    assert match in message


def test_captions_read_as_questions_are_refused(write):
    path = write({"a.png": encoded(picture()), "b.png": encoded(picture()), "list.jsonl": TWO})
    assert "list.jsonl:1 lacks the field 'question'" in source_error(path, "questions")


def test_an_empty_caption_is_refused_by_line(write):
    lines = jsonl({"image": "a.png", "caption": "a"}, {"image": "a.png", "caption": ""})
    message = source_error(write({"a.png": encoded(picture()), "list.jsonl": lines}))
    assert message.endswith("list.jsonl:2: image 'a.png': the caption of the image is empty")


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^shapes: .*gone does not exist, expected a folder or a \.zip"):
        ImageSource(tmp_path / "gone", "shapes", "captions")


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    assert source_error(tmp_path / "a.zip").startswith(f"shapes: {tmp_path}/a.zip is not a zip file")


def test_a_member_damaged_in_the_zip_file_is_refused_by_line(tmp_path):
    path = write_zip(tmp_path, {"a.png": encoded(picture(0)), "b.png": encoded(picture(1)), "list.jsonl": TWO})
    content = bytearray(path.read_bytes())
    place = content.index(encoded(picture(1))) + 45
    content[place] ^= 255
    path.write_bytes(content)
    assert "list.jsonl:2: image 'b.png': damaged in the zip file" in source_error(path)


FORK_AND_READ = """
import os, sys
from gato.data.sources.images import ImageSource
source = ImageSource(sys.argv[1], "shapes", "captions")
children = []
for _ in range(3):
    children.append(os.fork())
    if not children[-1]:
        os._exit(any(source[i % 4].image.mean() != i % 4 + 1 for i in range(200)))
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def test_forked_processes_do_not_move_each_other_s_place_in_the_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 2, (200, 200), np.uint8)
    pair = np.dstack([np.vstack([noise, 2 - noise])] * 3)  # of mean 1, and hard to compress
    write_images(tmp_path / "a.zip", [ImageText(image=pair + i, text="a") for i in range(4)])
    subprocess.run([sys.executable, "-c", FORK_AND_READ, str(tmp_path / "a.zip")], check=True)


def test_lines_may_stand_beside_a_zip_under_its_name(tmp_path):
    path = write_zip(tmp_path, {"a.png": encoded(picture())})
    path.with_suffix(".jsonl").write_bytes(jsonl({"image": "a.png", "caption": "ay"}))
    source = ImageSource(path, "shapes", "captions")
    assert source[0].text == "ay"
    np.testing.assert_array_equal(source[0].image, picture())


def test_fields_of_other_names_are_told_and_truth_values_are_answers(write):
    line = {"image": "a.png", "sentence": "It is red.", "label": True, "scene": 7}
    path = write({"a.png": encoded(picture()), "list.jsonl": jsonl(line, {**line, "label": 2})})
    columns = {"question": "sentence", "answer": "label", "twins": "scene"}
    source = ImageSource(path, "shapes", "questions", columns=columns)
    assert source[0].turns == (("user", "It is red."), ("agent", "true"), ("user", "It is red."), ("agent", "2"))
    assert source.twins == ["7"]


def test_a_json_list_of_lists_with_numbered_pictures_is_read_by_places(write):
    lines = json.dumps([["what shape?", "square", 0], ["what colour?", "red", 0], ["what shape?", "circle", 1]])
    files = {f"train/images/{i}.png": encoded(picture(i)) for i in range(2)}
    path = write({**files, "train/questions.json": lines.encode(), "test/questions.json": b"[]"})
    options = {
        "lines": "train/questions.json",
        "columns": {"question": 0, "answer": 1, "image": 2},
        "image_file": "images/{}.png",
    }
    source = ImageSource(path, "shapes", "questions", **options)
    assert [len(source[i].turns) for i in range(2)] == [4, 2]
    assert source[1].turns == (("user", "what shape?"), ("agent", "circle"))
    np.testing.assert_array_equal(source[1].image, picture(1))
    assert source.twins == ["images/0.png", "images/1.png"]


@pytest.mark.parametrize(
    "options, match",
    [
        ({"lines": "gone.json"}, "holds no file 'gone.json': name one in it with the option lines"),
        ({"lines": "text.json"}, "text.json is not JSON"),
        ({"lines": "object.json"}, "object.json holds dict, expected a list of lines"),
        ({"lines": "list.json"}, "list.json: line 0 is a list: say the place of 'image' in it with the option columns"),
        (
            {"lines": "list.json", "columns": {"image": 0, "caption": 5}},
            "list.json: line 0 has 2 entries, expected one at place 5",
        ),
        ({"columns": {"caption": "name"}}, "list.jsonl:1 lacks the field 'name', found ['image', 'caption']: name it"),
        ({"columns": {"text": "caption"}}, "option columns names ['text'], expected some of ['image', 'caption', 'twi"),
        ({"image_file": "a.png"}, "option image_file is 'a.png', expected one {} in it"),
        ({"image_file": "images/{}"}, "list.jsonl:1: image 'images/a.png' is not in "),
    ],
)
def test_options_that_do_not_fit_are_refused(write, options, match):
    files = {"text.json": b"text", "object.json": b"{}", "list.json": b'[["a.png", "a"]]', "a.png": encoded(picture())}
    path = write({**files, "list.jsonl": jsonl({"image": "a.png", "caption": "a"})})
    with pytest.raises(ValueError) as caught:
        ImageSource(path, "shapes", "captions", **options)
    assert str(caught.value).startswith("shapes: ")
    assert match in str(caught.value)

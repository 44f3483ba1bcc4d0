"""Parquet files: rows in any order and by several threads, the four kinds of records, and what is refused."""

import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gato.config import SourceConfig
from gato.data.episode import Dialogue, Document, ImageText
from gato.data.sources.opening import open_source
from gato.data.sources.parquet import ParquetTable


def open_language(path, name, **options):
    return open_source(SourceConfig(name=name, kind="parquet", path=str(path), options=options))


def png(seed, shape=(6, 5, 3)):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return pixels, content.getvalue()


def write(path, row_group_size=3, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


TEXTS = [f"document {number}" for number in range(10)]


@pytest.fixture
def folder(tmp_path):
    """Ten documents in two files of several row groups."""
    write(tmp_path / "set" / "train-0.parquet", text=TEXTS[:7], number=range(7))
    write(tmp_path / "set" / "deep" / "train-1.parquet", text=TEXTS[7:], number=range(7, 10))
    return tmp_path / "set"


def test_documents_of_a_folder_come_in_the_order_of_its_paths(folder):
    source = open_language(folder, "prose", records="text")
    assert len(source) == 10
    found = [source[index] for index in range(10)]
    assert found == [Document(text=text) for text in TEXTS[7:] + TEXTS[:7]]


def test_files_of_a_folder_are_chosen_by_a_pattern(folder):
    source = open_language(folder, "prose", records="text", files="train-0*")
    assert [source[index].text for index in range(len(source))] == TEXTS[:7]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=4).filter(any),
    group=st.integers(1, 5),
    data=st.data(),
)
def test_any_range_of_rows_is_that_of_all_files_joined(tmp_path_factory, sizes, group, data):
    path = tmp_path_factory.mktemp("rows")
    numbers = list(range(sum(sizes)))
    for index, size in enumerate(sizes):
        begin = sum(sizes[:index])
        write(path / f"{index}.parquet", group, number=pa.array(numbers[begin : begin + size], pa.int64()))
    table = ParquetTable(path, "numbers")
    assert len(table) == len(numbers)
    start = data.draw(st.integers(0, len(numbers) - 1))
    stop = data.draw(st.integers(start + 1, len(numbers)))
    assert table.read(["number"], start, stop)["number"].to_pylist() == numbers[start:stop]


def test_a_read_touches_only_the_row_groups_and_columns_it_needs(folder):
    file = folder / "train-0.parquet"
    table = ParquetTable(file, "prose")
    damaged = pq.read_metadata(file).row_group(1).column(0)
    content = bytearray(file.read_bytes())
    begin = damaged.dictionary_page_offset
    content[begin : begin + damaged.total_compressed_size] = bytes(damaged.total_compressed_size)
    file.write_bytes(content)
    assert table.read(["text"], 0, 3)["text"].to_pylist() == TEXTS[:3]
    assert table.read(["text"], 6, 7)["text"].to_pylist() == TEXTS[6:7]
    assert table.read(["number"], 2, 5)["number"].to_pylist() == [2, 3, 4]
    with pytest.raises(ValueError, match=r"^prose: row group 1 of .*train-0\.parquet is damaged"):
        table.read(["text"], 2, 4)


def test_threads_share_a_source(folder):
    source = open_language(folder, "prose", records="text")
    order = np.random.default_rng(0).integers(0, 10, 200).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: source[index].text, order))
    assert found == [source[index].text for index in order]


def test_a_source_is_reopened_where_it_is_unpickled(folder):
    source = open_language(folder, "prose", records="text")
    again = pickle.loads(pickle.dumps(source))
    assert [again[index] for index in range(10)] == [source[index] for index in range(10)]


def test_columns_may_have_other_names(tmp_path):
    path = write(tmp_path / "a.parquet", content=["one", "two"])
    source = open_language(path, "prose", records="text", columns={"text": "content"})
    assert source[1] == Document(text="two")


def test_rows_without_text_are_errors_unless_they_are_skipped(tmp_path):
    path = write(tmp_path / "a.parquet", text=["one", "", None, " \n", "two"])
    source = open_language(path, "prose", records="text", skip_empty=True)
    assert [source[index].text for index in range(len(source))] == ["one", "two"]
    source = open_language(path, "prose", records="text")
    with pytest.raises(ValueError, match=r"^prose: row 1: the document is empty"):
        source[1]
    with pytest.raises(ValueError, match=r"^prose: row 2: column 'text' is NoneType, expected a string"):
        source[2]
    with pytest.raises(ValueError, match=r"^prose: column 'text' holds no text in any row"):
        open_language(write(tmp_path / "b.parquet", text=["", " "]), "prose", records="text", skip_empty=True)


@pytest.mark.parametrize("plain", [True, False])
def test_captions_come_with_their_pictures(tmp_path, plain):
    pixels, contents = zip(*(png(seed, (4 + seed, 5, 3)) for seed in range(3)), strict=True)
    images = list(contents) if plain else [{"bytes": content, "path": "a.png"} for content in contents]
    path = write(tmp_path / "a.parquet", picture=images, caption=["a", "b", "c"])
    source = open_language(path, "pairs", records="captions", columns={"image": "picture"})
    for index in (2, 0, 1):
        record = source[index]
        assert isinstance(record, ImageText)
        assert record.text == "abc"[index]
        np.testing.assert_array_equal(record.image, pixels[index])


def test_questions_are_dialogues_about_a_picture(tmp_path):
    (pixels, content) = png(0)
    images = [{"bytes": content, "path": None}] * 2
    one = write(tmp_path / "a.parquet", image=images, question=["what?", "how?"], answer=["it", "so"])
    several = write(tmp_path / "b.parquet", image=images[:1], question=[["what?", "how?"]], answer=[["it", "so"]])
    record = open_language(one, "vqa", records="questions")[1]
    assert isinstance(record, Dialogue)
    assert record.turns == (("user", "how?"), ("agent", "so"))
    np.testing.assert_array_equal(record.image, pixels)
    record = open_language(several, "vqa", records="questions")[0]
    assert record.turns == (("user", "what?"), ("agent", "it"), ("user", "how?"), ("agent", "so"))


def test_dialogues_may_name_fields_and_speakers_otherwise(tmp_path):
    turns = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    path = write(tmp_path / "a.parquet", conversations=[turns])
    options = {
        "columns": {"turns": "conversations"},
        "turn_fields": {"speaker": "from", "text": "value"},
        "speakers": {"human": "user", "gpt": "agent", "system": "user"},
    }
    source = open_language(path, "chat", records="dialogue", **options)
    assert source[0] == Dialogue(turns=(("user", "s"), ("user", "q"), ("agent", "a")))
    source = open_language(path, "chat", records="dialogue", **{**options, "speakers": {"human": "user"}})
    with pytest.raises(ValueError, match=r"row 0: column 'conversations': the speaker of turn 0 is 'system', expected"):
        source[0]
    source = open_language(path, "chat", records="dialogue", columns={"turns": "conversations"})
    with pytest.raises(ValueError, match=r"turn 0 is .*, expected the fields \['speaker', 'text'\]: name them in"):
        source[0]


def test_rows_with_equal_values_are_twins(tmp_path):
    images = [png(0)[1], png(1)[1], png(0)[1]]
    path = write(tmp_path / "a.parquet", image=images, caption=["a", "b", "c"], scene=[4, 4, 5])
    twins = open_language(path, "pairs", records="captions", twins="image").twins
    assert twins[0] == twins[2] != twins[1]
    assert open_language(path, "pairs", records="captions", twins="scene").twins == ["4", "4", "5"]
    assert open_language(path, "pairs", records="captions").twins is None


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"^prose: .*gone does not exist, expected a \.parquet file or a folder"
    ):
        open_language(tmp_path / "gone", "prose", records="text")
    with pytest.raises(FileNotFoundError, match=r"^prose: .* holds no file 'test-\*', expected Parquet files"):
        open_language(tmp_path, "prose", records="text", files="test-*")


def test_other_files_and_empty_ones_are_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 or so")
    with pytest.raises(ValueError, match=r"^prose: .*a\.parquet is no readable Parquet file"):
        open_language(tmp_path, "prose", records="text")
    path = write(tmp_path / "b" / "a.parquet", text=pa.array([], pa.string()))
    with pytest.raises(ValueError, match=r"^prose: .* holds no rows, expected at least one"):
        open_language(path, "prose", records="text")


def test_files_with_other_columns_are_refused_by_name(folder):
    write(folder / "zoo.parquet", text=[1, 2], number=[1, 2])
    table = ParquetTable(folder, "prose")
    assert table.read(["number"], 10, 12)["number"].to_pylist() == [1, 2]
    with pytest.raises(ValueError, match=r"^prose: column 'text' is int64 in .*zoo\.parquet, but string in the first"):
        table.read(["text"], 10, 11)


def test_records_beyond_the_end_are_refused(folder):
    source = open_language(folder, "prose", records="text")
    for index in (10, -1):
        with pytest.raises(IndexError, match=rf"^prose: record {index} of 10"):
            source[index]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"records": "poem"}, r"records is 'poem', expected one of \['text', "),
        ({"records": "text", "columns": {"text": "words"}}, r"expected one column 'words', found \['text', 'number'\]"),
        ({"records": "text", "columns": {"txt": "text"}}, r"columns name \['txt'\], but 'text' has the fields"),
        (
            {"records": "captions", "columns": {"image": "text", "caption": "text"}},
            r"'text' is string, expected the byt",
        ),
        ({"records": "text", "speakers": {"a": "user"}}, r"speakers go with records of 'dialogue', not of 'text'"),
        (
            {"records": "dialogue", "columns": {"turns": "text"}, "skip_empty": True},
            r"skip_empty goes with records of 't",
        ),
        (
            {"records": "dialogue", "columns": {"turns": "text"}, "speakers": {"a": "bot"}},
            r"expected each to be 'user'",
        ),
        (
            {"records": "dialogue", "columns": {"turns": "text"}, "turn_fields": {"x": "y"}},
            r"turn_fields are \{'x': 'y'\}",
        ),
        ({"records": "text", "twins": "scene"}, r"expected one column 'scene', found"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, options, message):
    with pytest.raises(ValueError, match=rf"^prose: .*{message}"):
        open_language(folder, "prose", **options)


def test_damaged_records_are_named_by_row_and_column(tmp_path):
    image = {"bytes": None, "path": "far/away.png"}
    path = write(
        tmp_path / "a.parquet",
        image=[image, {"bytes": b"GIF", "path": None}],
        question=[["a", "b"], ["a"]],
        answer=[["a"], ["b"]],
    )
    source = open_language(path, "vqa", records="questions")
    with pytest.raises(ValueError, match=r"^vqa: row 0: column 'image' holds no image, only the path 'far/away\.png'"):
        source[0]
    with pytest.raises(ValueError, match=r"^vqa: row 1: column 'image': the picture cannot be decoded"):
        source[1]
    images = [png(0)[1]]
    path = write(tmp_path / "b.parquet", image=images, question=[["a", "b"]], answer=[["a"]])
    with pytest.raises(ValueError, match=r"^vqa: row 0: there are 2 questions and 1 answers"):
        open_language(path, "vqa", records="questions")[0]
    path = write(tmp_path / "c.parquet", turns=["hello"])
    with pytest.raises(ValueError, match=r"^chat: row 0: column 'turns' is str, expected a list of turns"):
        open_language(path, "chat", records="dialogue")[0]

"""TFRecord files and Examples: what a plain writer and the published message make is read, and damage is named."""

import contextlib
import struct

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.data.sources.tfrecord import TfrecordFile, parse_example


def slow_crc32c(data):
    """Bit by bit, as the polynomial says."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(data):
    crc = slow_crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def frame(data):
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def example_class():
    """tf.train.Example, from the published message definitions."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="test", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    lists = {"BytesList": kinds.TYPE_BYTES, "FloatList": kinds.TYPE_FLOAT, "Int64List": kinds.TYPE_INT64}
    for name, kind in lists.items():
        file.message_type.add(name=name).field.add(name="value", number=1, type=kind, label=kinds.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (field, name) in enumerate(
        {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"}.items(), start=1
    ):
        feature.field.add(
            name=field,
            number=number,
            type=kinds.TYPE_MESSAGE,
            type_name=f".test.{name}",
            label=kinds.LABEL_OPTIONAL,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    value = {"type": kinds.TYPE_MESSAGE, "type_name": ".test.Feature", "label": kinds.LABEL_OPTIONAL}
    entry.field.add(name="value", number=2, **value)
    repeated = {"type": kinds.TYPE_MESSAGE, "label": kinds.LABEL_REPEATED}
    features.field.add(name="feature", number=1, type_name=".test.Features.FeatureEntry", **repeated)
    outer = {"type": kinds.TYPE_MESSAGE, "type_name": ".test.Features", "label": kinds.LABEL_OPTIONAL}
    file.message_type.add(name="Example").field.add(name="features", number=1, **outer)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.Example"))


Example = example_class()


def serialize(features):
    """An Example of lists: of bytes, of int, or of float."""
    example = Example()
    for name, values in features.items():
        feature = example.features.feature[name]
        if all(isinstance(value, bytes) for value in values):
            feature.bytes_list.value.extend(values)
        elif all(isinstance(value, int) for value in values):
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    return example.SerializeToString()


def write(path, records):
    path.write_bytes(b"".join(frame(record) for record in records))
    return TfrecordFile(path, "robots: a.tfrecord")


@pytest.mark.parametrize("size", [0, 1, 3, 4, 1023, 1024, 1025, 65_537])
def test_a_record_of_any_size_has_the_checksum_of_the_definition(tmp_path, size):
    data = np.random.default_rng(size).bytes(size)
    assert write(tmp_path / "a", [data])[0] == data


names = st.text(max_size=5)
floats = st.floats(width=32, allow_nan=False)
values = st.one_of(
    st.lists(st.binary(max_size=20), min_size=1, max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20),
    st.lists(floats, min_size=1, max_size=20),
)


@settings(deadline=None)
@given(st.dictionaries(names, values, max_size=4))
def test_what_protobuf_writes_is_read(features):
    found = parse_example(serialize(features))
    assert found.keys() == features.keys()
    for name, expected in features.items():
        came = found[name]
        assert (came if isinstance(came, list) else came.tolist()) == expected
        if not isinstance(came, list):
            assert came.dtype == (np.int64 if isinstance(expected[0], int) else np.float32)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 255))
def test_damaged_messages_are_refused_or_read_but_never_crash(data, place, byte):
    good = bytearray(serialize({"a": [1, -1], "b": [b"xyz"], "c": [0.5, 2.0]}))
    good[place % len(good)] = byte
    for record in (data, bytes(good), bytes(good[:place])):
        with contextlib.suppress(ValueError):
            parse_example(record)


def test_features_not_asked_for_are_skipped_unread():
    record = serialize({"a": [1, 2], "b": [b"x"]})
    assert list(parse_example(record, {"a", "z"})) == ["a"]


def test_numbers_that_are_not_packed_are_read():
    floats = b"\x0d" + struct.pack("<f", 1.5) + b"\x0d" + struct.pack("<f", -2)
    feature = b"\x12" + bytes([len(floats)]) + floats
    entry = b"\x0a\x01a\x12" + bytes([len(feature)]) + feature
    features = b"\x0a" + bytes([len(entry)]) + entry
    assert parse_example(b"\x0a" + bytes([len(features)]) + features)["a"].tolist() == [1.5, -2]
    integers = b"\x08\x05\x08" + b"\xff" * 9 + b"\x01"
    feature = b"\x1a" + bytes([len(integers)]) + integers
    entry = b"\x0a\x01a\x12" + bytes([len(feature)]) + feature
    features = b"\x0a" + bytes([len(entry)]) + entry
    assert parse_example(b"\x0a" + bytes([len(features)]) + features)["a"].tolist() == [5, -1]


def field(number, content):
    """A field of bytes, its number and its content each short enough for one byte."""
    return bytes([number << 3 | 2, len(content)]) + content


def example_of(feature, name=b"a"):
    return field(1, field(1, field(1, name) + field(2, feature)))


@pytest.mark.parametrize(
    "record, match",
    [
        (b"\x0a\x05ab", "the record cannot be parsed"),  # five bytes are announced, two come
        (b"\x0b", "the record cannot be parsed"),  # a wire type that is no more in use
        (b"\x00\x01", "the record cannot be parsed"),  # field 0
        (b"\x0a\xff", "the record cannot be parsed"),  # cut short within a number
        (b"\x0a" + b"\xff" * 11, "the record cannot be parsed"),  # a number of more than ten bytes
        (b"\x08\x01", "the record has no features"),  # a number in place of the features
        (example_of(b"", name=b"\xff"), "the name of a feature is .*, expected UTF-8"),
        (example_of(field(3, field(1, b"\x80"))), "feature 'a' cannot be parsed"),  # an integer cut short
        (example_of(field(3, field(1, b"\xff" * 10 + b"\x01"))), "feature 'a' cannot be parsed"),  # of eleven bytes
        (example_of(field(2, field(1, b"\x80"))), "feature 'a' cannot be parsed"),  # a float of one byte
        (example_of(field(1, b"") + field(3, b"")), "feature 'a' holds bytes_list and int64_list, expected one list"),
    ],
)
def test_what_is_no_example_is_refused(record, match):
    with pytest.raises(ValueError, match=match):
        parse_example(record)


@pytest.mark.parametrize("record", [b"", field(1, b"\x08\x01"), field(1, field(1, b"\x08\x01"))])
def test_fields_of_another_type_are_no_features(record):
    assert parse_example(record, {"a"}) == {}


def test_a_list_without_values_is_an_empty_array_of_its_type():
    came = parse_example(example_of(field(3, field(1, b""))))["a"]
    assert (came.tolist(), came.dtype) == ([], np.int64)


def test_values_of_another_wire_type_do_not_count():
    assert parse_example(example_of(field(1, b"\x08\x01")))["a"] == []


def test_records_are_read_in_any_order(tmp_path):
    records = [b"first", b"", bytes(range(256)) * 40]
    file = write(tmp_path / "a", records)
    assert len(file) == 3
    assert [file[i] for i in (2, 0, 1, 2)] == [records[i] for i in (2, 0, 1, 2)]


def test_an_empty_file_has_no_records(tmp_path):
    assert len(write(tmp_path / "a", [])) == 0


@pytest.mark.parametrize("index", [-1, 2])
def test_a_record_that_does_not_exist_is_refused(tmp_path, index):
    file = write(tmp_path / "a", [b"one", b"two"])
    with pytest.raises(IndexError, match=rf"robots: a\.tfrecord: record {index} of 2"):
        file[index]


@pytest.mark.parametrize("place", [12, 14, 15, 18])
def test_a_flipped_bit_in_the_data_or_its_checksum_is_named(tmp_path, place):
    content = bytearray(frame(b"one") + frame(b"two"))
    content[19 + place] ^= 4
    (tmp_path / "a").write_bytes(content)
    file = TfrecordFile(tmp_path / "a", "robots: a.tfrecord")
    assert file[0] == b"one"
    with pytest.raises(ValueError, match=r"robots: a\.tfrecord: record 1: the data have another CRC32C"):
        file[1]


@pytest.mark.parametrize("place", [0, 7, 8, 11])
def test_a_flipped_bit_in_a_length_or_its_checksum_is_named(tmp_path, place):
    content = bytearray(frame(b"one") + frame(b"two"))
    content[19 + place] ^= 4
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match=r"robots: a\.tfrecord: record 1: the length has another CRC32C"):
        TfrecordFile(tmp_path / "a", "robots: a.tfrecord")


@pytest.mark.parametrize("size, part", [(20, "within its header"), (31, "it ends at byte 38, but the file at 31")])
def test_a_file_cut_short_is_named(tmp_path, size, part):
    (tmp_path / "a").write_bytes((frame(b"one") + frame(b"two"))[:size])
    with pytest.raises(ValueError, match=rf"robots: a\.tfrecord: record 1 is cut short.*{part}"):
        TfrecordFile(tmp_path / "a", "robots: a.tfrecord")


def test_a_file_that_shrinks_after_it_was_opened_is_named(tmp_path):
    file = write(tmp_path / "a", [b"one", b"two"])
    (tmp_path / "a").write_bytes(frame(b"one"))
    with pytest.raises(ValueError, match="record 1: the data have another CRC32C"):
        file[1]


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"\x1f\x8b" + bytes(range(50)))
    with pytest.raises(ValueError, match=r"record 0: .*this is no TFRecord file \(a compressed one must be unpacked"):
        TfrecordFile(tmp_path / "a", "robots: a.tfrecord")

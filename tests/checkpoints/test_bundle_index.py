"""The index of TensorFlow's variables is checked without TensorFlow, which it could end, or make fill the memory."""

import json
import struct
from types import SimpleNamespace

import pytest

from cct_viz.checkpoints import CheckpointError
from cct_viz.checkpoints.bundle_index import MAGIC, STRING, Entry, check_text, read_index

FLOAT = 1


def number(value):
    """A number of seven bits a byte."""
    content = b""
    while value > 127:
        content += bytes([value & 127 | 128])
        value >>= 7
    return content + bytes([value])


def block(pairs, *, restarts=(0,)):
    """Keys share their beginnings; then a kind (0: not compressed) and a checksum, which only TensorFlow compares."""
    content, last = b"", b""
    for key, value in pairs:
        same = [a == b for a, b in zip(last, key, strict=False)]
        shared = [*same, False].index(False)
        content += number(shared) + number(len(key) - shared) + number(len(value)) + key[shared:] + value
        last = key
    return content + struct.pack(f"<{len(restarts)}I", *restarts) + struct.pack("<I", len(restarts))


def table(pairs, *, kind=b"\0", **options):
    data = block(pairs, **options)
    index = block([(pairs[-1][0] + b"\xff", number(0) + number(len(data)))])
    start = len(data) + 5
    footer = number(0) + number(0) + number(start) + number(len(index))
    return data + kind + bytes(4) + index + bytes(5) + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def entry(kind=FLOAT, shape=(2, 3), shard=0, offset=0, size=24, slices=()):
    """What TensorFlow would parse from an entry, here written as JSON."""
    return json.dumps([kind, shape, shard, offset, size, slices]).encode()


def parse(value):
    kind, shape, shard, offset, size, slices = json.loads(value)
    dims = [SimpleNamespace(size=length) for length in shape]
    shape = SimpleNamespace(dim=dims, unknown_rank=False)
    return SimpleNamespace(dtype=kind, shape=shape, shard_id=shard, offset=offset, size=size, slices=slices)


def read(content, lengths=(100,)):
    return read_index(content, lengths, "x.index", parse)


def test_the_entries_of_an_index_are_read():
    pairs = [(b"", b"header"), (b"layer/bias", entry(size=12, shape=(3,), offset=24)), (b"layer/kernel", entry())]
    assert read(table(pairs)) == {
        "layer/bias": Entry(FLOAT, (3,), 0, 24, 12),
        "layer/kernel": Entry(FLOAT, (2, 3), 0, 0, 24),
    }


ODD_ENTRIES = {
    "unknown type": entry(kind=99),
    "type of a reference": entry(kind=101),
    "size below 0": entry(shape=(-2, -3)),
    "another size": entry(size=20),
    "huge": entry(shape=(1 << 62, 4)),
    "too many axes": entry(shape=(1,) * 20, size=4),
    "no such file": entry(shard=1),
    "file before the first": entry(shard=-1),
    "behind the end": entry(offset=90),
    "before the beginning": entry(offset=-24),
    "in slices": entry(slices=[1]),
    "texts without end": entry(kind=STRING, shape=(1 << 40,), size=20),
}


@pytest.mark.parametrize("odd", ODD_ENTRIES)
def test_an_entry_that_tensorflow_never_writes_is_refused(odd):
    with pytest.raises((ValueError, LookupError)):
        read(table([(b"a", ODD_ENTRIES[odd])]))


def test_arrays_that_share_one_place_are_refused():
    with pytest.raises(CheckpointError, match=r"^x\.index lists 240 bytes, but the files of data hold 100; download"):
        read(table([(b"%d" % i, entry()) for i in range(10)]))


ODD_TABLES = {
    "empty": b"",
    "no table": bytes(48),
    "cut": table([(b"a", entry())])[20:],
    "compressed": table([(b"a", entry())], kind=b"\1"),
    "repeated key": table([(b"a", entry()), (b"a", entry())]),
    "descending keys": table([(b"b", entry()), (b"a", entry())]),
    "restart inside an entry": table([(b"a", entry())], restarts=(0, 3)),
    "long keys": table([(b"x" * 50_000 + b"%03d" % i, entry(size=0, shape=(0,))) for i in range(20)]),
}


@pytest.mark.parametrize("odd", ODD_TABLES)
def test_a_damaged_table_is_refused(odd):
    with pytest.raises((ValueError, LookupError, struct.error)):
        read(ODD_TABLES[odd])


def test_a_text_that_claims_more_than_its_place_is_refused():
    text = Entry(STRING, (), 0, 0, 8)
    check_text(number(3) + b"\0\0\0\0abc", text)
    with pytest.raises(ValueError, match="no text of its size"):
        check_text(number(1 << 40), text)

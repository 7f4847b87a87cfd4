"""Changes of files and values: each takes bytes and a generator, and gives bytes and its name."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

Mutator = Callable[[bytes, random.Random], bytes]

TEXTS = [
    "", " ", "nan", "inf", "-inf", "-1", "0", "-0.0", "1e308", "1e-320", "9" * 40, "true", "null",
    "ü∂漢字", "a,b", '"', "'", "\\", "\t", "=1+1", "../../x", "/", "\x00", "\x1b[31m", "x" * 70_000,
]  # fmt: skip
VALUES: list[Any] = [
    None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "text", "ü漢", [], {}, [[]],
    {"": None}, [1, "2", None], "x" * 70_000,
]  # fmt: skip
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)
FORMATS = [
    PNG, b"PK\x05\x06" + bytes(18), b"%PDF-1.4\n", b"<html></html>\n", b"id,a\n1,2\n", b"{}", b"[]",
    b"null", b"\xff\xfe" + "id\n".encode("utf-16-le"), b"PAR1PAR1", b"\x93NUMPY\x01\x00",
    b"\x80\x04.", b"II*\x00\x08\x00\x00\x00\x00\x00", b"\xff\xd8\xff\xd9", bytes(4096),
]  # fmt: skip
DEPTH = 20_000
IMAGE_SIDES = [0, 1, 65_535, 100_000, 2**31 - 1, 2**32 - 1]


def flip_bits(data: bytes, draw: random.Random) -> bytes:
    """One to eight bits, half of the time near the beginning, where headers are."""
    changed = bytearray(data)
    end = len(data) if draw.random() < 0.5 else min(len(data), 512)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(end)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def truncate(data: bytes, draw: random.Random) -> bytes:
    """The beginning, sometimes all but the last bytes."""
    return (
        data[: -draw.randint(1, 16)] if draw.random() < 0.3 else data[: draw.randrange(len(data))]
    )


def delete_block(data: bytes, draw: random.Random) -> bytes:
    """Without a block."""
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.randint(1, max(len(data) // 4, 1)) :]


def duplicate_block(data: bytes, draw: random.Random) -> bytes:
    """With a block twice."""
    start = draw.randrange(len(data))
    end = start + draw.randint(1, max(len(data) // 4, 1))
    return data[:end] + data[start:end] + data[end:]


def swap_blocks(data: bytes, draw: random.Random) -> bytes:
    """Two blocks of one length exchanged."""
    size = draw.randint(1, max(len(data) // 8, 1))
    one, two = sorted(draw.randrange(max(len(data) - size, 1)) for _ in range(2))
    if two - one < size:
        return flip_bits(data, draw)
    middle = data[one + size : two]
    return (
        data[:one] + data[two : two + size] + middle + data[one : one + size] + data[two + size :]
    )


def append_junk(data: bytes, draw: random.Random) -> bytes:
    """With random bytes at the end."""
    return data + draw.randbytes(draw.choice((1, 7, 4096)))


def empty(data: bytes, draw: random.Random) -> bytes:
    """Nothing."""
    return b""


def other_format(data: bytes, draw: random.Random) -> bytes:
    """A file of another format under the name."""
    return draw.choice(FORMATS)


ANY: tuple[Mutator, ...] = (
    flip_bits, flip_bits, truncate, delete_block, duplicate_block, swap_blocks, append_junk, empty,
    other_format,
)  # fmt: skip


def delete_line(data: bytes, draw: random.Random) -> bytes:
    """Without one line, header included."""
    lines = data.splitlines(keepends=True)
    del lines[draw.randrange(len(lines))]
    return b"".join(lines)


def duplicate_line(data: bytes, draw: random.Random) -> bytes:
    """With one line twice."""
    lines = data.splitlines(keepends=True)
    number = draw.randrange(len(lines))
    return b"".join(lines[: number + 1] + lines[number:])


def swap_lines(data: bytes, draw: random.Random) -> bytes:
    """Two lines exchanged."""
    lines = data.splitlines(keepends=True)
    one, two = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def change_cell(data: bytes, draw: random.Random) -> bytes:
    """One cell, or name of a column, replaced by an odd text."""
    cells = [line.split(b",") for line in data.split(b"\n")]
    line = draw.randrange(len(cells)) if draw.random() < 0.8 else 0
    cells[line][draw.randrange(len(cells[line]))] = draw.choice(TEXTS).encode()
    return b"\n".join(b",".join(line) for line in cells)


def swap_cells(data: bytes, draw: random.Random) -> bytes:
    """Two cells of one line exchanged."""
    cells = [line.split(b",") for line in data.split(b"\n")]
    line = draw.choice(cells)
    one, two = draw.randrange(len(line)), draw.randrange(len(line))
    line[one], line[two] = line[two], line[one]
    return b"\n".join(b",".join(line) for line in cells)


def swap_in_column(data: bytes, draw: random.Random) -> bytes:
    """Two cells of one column exchanged."""
    cells = [line.split(b",") for line in data.rstrip(b"\n").split(b"\n")]
    if len(cells) < 3:
        return flip_bits(data, draw)
    one, two = draw.sample(cells[1:], 2)
    column = draw.randrange(min(len(one), len(two)))
    one[column], two[column] = two[column], one[column]
    return b"\n".join(b",".join(line) for line in cells) + b"\n"


def change_column(data: bytes, draw: random.Random) -> bytes:
    """A column deleted, twice, or with one value throughout."""
    cells = [line.split(b",") for line in data.rstrip(b"\n").split(b"\n")]
    column, kind = draw.randrange(len(cells[0])), draw.randrange(3)
    text = draw.choice(TEXTS[:-1]).encode()
    for number, line in enumerate(cells):
        if column >= len(line):
            continue
        if kind == 0:
            del line[column]
        elif kind == 1:
            line.insert(column, line[column])
        elif number:
            line[column] = text
    return b"\n".join(b",".join(line) for line in cells) + b"\n"


def rewrite(data: bytes, draw: random.Random) -> bytes:
    """Another separator, encoding, line end or beginning."""
    return draw.choice(
        (
            data.replace(b",", b"\t"),
            data.replace(b",", b";"),
            data.replace(b"\n", b"\r\n"),
            data.replace(b"\n", b"\r"),
            b"\xef\xbb\xbf" + data,
            data.decode(errors="replace").encode("utf-16"),
            b"\xff\xfe\xfd" + data,
            b"# a comment\n\n" + data,
            data.rstrip(b"\n"),
            data.replace(b"\n", b"\n\n"),
        )
    )


TABLE: tuple[Mutator, ...] = (
    delete_line, duplicate_line, swap_lines, change_cell, change_cell, swap_cells, swap_in_column,
    change_column, rewrite,
)  # fmt: skip


def change_json(data: bytes, draw: random.Random) -> bytes:
    """A value of another type or size, a key less, more or exchanged."""
    document = json.loads(data)
    places = list(_places(document))
    if not places:
        return other_format(data, draw)
    parent, key = draw.choice(places)
    kind = draw.randrange(5)
    if kind == 0 and isinstance(parent, dict):
        del parent[key]
    elif kind == 1:
        parent[key] = [parent[key]]
    elif kind == 2 and len(parent) > 1:
        other = draw.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        parent[key], parent[other] = parent[other], parent[key]
    elif kind == 3 and isinstance(parent, dict):
        parent[draw.choice(TEXTS)] = parent[key]
    else:
        parent[key] = draw.choice(VALUES)
    return json.dumps(document).encode()


def _places(document: Any) -> Any:
    if isinstance(document, dict | list):
        keys = document if isinstance(document, dict) else range(len(document))
        for key in keys:
            yield document, key
            yield from _places(document[key])


def nest_json(data: bytes, draw: random.Random) -> bytes:
    """Lists within lists, as the whole or as a value."""
    deep = b"[" * DEPTH + b"]" * DEPTH
    text = data.strip()
    if draw.random() < 0.5 or not text.startswith(b"{"):
        return deep
    return b'{"deep": ' + deep + b"," + text[1:]


JSON: tuple[Mutator, ...] = (change_json, change_json, change_json, nest_json)


def change_toml(data: bytes, draw: random.Random) -> bytes:
    """The value of one key replaced by one of another type."""
    lines = data.split(b"\n")
    keys = [number for number, line in enumerate(lines) if b" = " in line]
    if not keys:
        return other_format(data, draw)
    number = draw.choice(keys)
    values = ["-1", "0", "1e308", "nan", "inf", "true", '""', '"text"', '"ü漢"', "[]", "[[]]", "{}",
              "[1, 2]", '["a", "a"]', "9" * 40, "1979-05-27", '"../../x"', '"\\u0000"',
              "[" * 3000 + "]" * 3000]  # fmt: skip
    lines[number] = lines[number].split(b" = ")[0] + b" = " + draw.choice(values).encode()
    return b"\n".join(lines)


TOML: tuple[Mutator, ...] = (
    change_toml,
    change_toml,
    delete_line,
    duplicate_line,
    swap_lines,
    rewrite,
)


def change_parquet(data: bytes, draw: random.Random) -> bytes:
    """Columns dropped, cast, renamed, or with other values."""
    import polars as pl

    table = pl.read_parquet(io.BytesIO(data))
    name = draw.choice(table.columns)
    changes: list[Callable[[], pl.DataFrame]] = [
        lambda: table.drop(name),
        lambda: table.rename({name: draw.choice(TEXTS)}),
        lambda: table.with_columns(pl.col(name).cast(pl.Utf8)),
        lambda: table.with_columns(pl.lit(None).alias(name)),
        lambda: table.with_columns(
            pl.lit(draw.choice((-1.0, 2.0, float("nan"), 1e308))).alias(name)
        ),
        lambda: table.with_columns(pl.concat_list(name).alias(name)),
        lambda: pl.concat([table, table.head(2)]),
        lambda: table.head(0),
        lambda: table.reverse(),
    ]
    stream = io.BytesIO()
    draw.choice(changes)().write_parquet(stream)
    return stream.getvalue()


def change_npy(data: bytes, draw: random.Random) -> bytes:
    """Another shape, type or value; a pickle."""
    import numpy as np

    array = np.load(io.BytesIO(data), allow_pickle=False)
    if not array.dtype.names:
        changes: list[Callable[[], Any]] = [
            lambda: array.astype(object), lambda: array.astype("U8"), lambda: array[:0],
            lambda: array[..., None], lambda: array.astype(np.complex64), lambda: array[1:],
            lambda: array.astype(np.float16), lambda: -array.astype(np.float32),
            lambda: np.full(array.shape, np.nan, np.float32),
        ]  # fmt: skip
    else:
        changes = [lambda: array[:0], lambda: array[::-1], lambda: array.astype(object),
                   lambda: array[list(array.dtype.names)[:-1]]]  # fmt: skip
    stream = io.BytesIO()
    np.save(stream, draw.choice(changes)(), allow_pickle=True)
    return stream.getvalue()


def change_safetensors(data: bytes, draw: random.Random) -> bytes:
    """The length of the header, or a value in it; half of the time what the program put there."""
    (length,) = struct.unpack("<Q", data[:8])
    if draw.random() < 0.15:
        return (
            struct.pack("<Q", draw.choice((0, 1, 2**40, 2**63, length - 8, length + 8))) + data[8:]
        )
    header = json.loads(data[8 : 8 + length])
    own = header.get("__metadata__")
    if own and draw.random() < 0.5:
        key = draw.choice(list(own))
        own[key] = change_json(own[key].encode(), draw).decode() if own[key][:1] in "{[" else "-1"
        text = json.dumps(header).encode()
    else:
        text = change_json(data[8 : 8 + length], draw)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def change_png(data: bytes, draw: random.Random) -> bytes:
    """Another width, height, depth or colour type, with a right checksum."""
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    kind = draw.randrange(4)
    if kind == 0:
        width = draw.choice(IMAGE_SIDES)
    elif kind == 1:
        height = draw.choice(IMAGE_SIDES)
    elif kind == 2:
        width = height = draw.choice(IMAGE_SIDES)
    else:
        depth, colour = draw.choice((1, 3, 16, 255)), draw.choice((2, 3, 6, 9))
    chunk = b"IHDR" + struct.pack(">IIBB", width, height, depth, colour) + data[26:29]
    return data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


BY_SUFFIX: dict[str, tuple[Mutator, ...]] = {
    ".csv": TABLE,
    ".tsv": TABLE,
    ".json": JSON,
    ".toml": TOML,
    ".parquet": (change_parquet, change_parquet),
    ".npy": (change_npy, change_npy),
    ".safetensors": (change_safetensors, change_safetensors),
    ".png": (change_png, change_png),
}


def mutate(data: bytes, suffix: str, draw: random.Random) -> tuple[str, bytes]:
    """A change that fits the format, or one of any format; its name and the bytes."""
    own = BY_SUFFIX.get(suffix, ())
    for _ in range(20):
        mutator = draw.choice(own) if own and draw.random() < 0.65 else draw.choice(ANY)
        changed = mutator(data, draw)
        if changed != data:
            return mutator.__name__.replace("_", " "), changed
    return "empty", b""

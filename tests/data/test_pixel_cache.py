"""Decoded images that are kept: the same pixels, and never those of a file that has changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.competition.samples import Samples
from comptool.data import cache as pixel_cache
from comptool.data.cache import PixelCache, form_folder, reader_salt
from comptool.data.dataset import SampleDataset
from comptool.data.image_io import ChipForm, ImageFiles, ImageSource, to_chip
from comptool.errors import InputError, OutputError
from comptool.io.tables import read_table
from comptool.registry import PLUGINS

NUM = 7
SIZES = {"sar": (8, 12), "eo": (16, 16)}
CHANNELS = {"sar": 1, "eo": 3}


def write_image(path: Path, seed: int, side: int = 20, kind: type = np.uint8) -> None:
    random = np.random.default_rng(seed)
    top = 4096 if kind is np.uint16 else 256
    shape = (side, side) if seed % 2 else (side, side, 3)
    cv2.imwrite(str(path), random.integers(top, size=shape).astype(kind))


@pytest.fixture
def samples(tmp_path) -> Samples:
    """Seven pairs: grey and colour, 8 and 16 bits, of different sizes; the last has no EO chip."""
    rows = []
    for number in range(NUM):
        row = [f"s{number}"]
        for place, name in enumerate(SIZES):
            path = f"{name}{number}.png"
            kind = np.uint16 if name == "sar" and number == 3 else np.uint8
            write_image(tmp_path / path, 10 * number + place, 14 + number, kind)
            row.append(path)
        rows.append(row)
    (tmp_path / f"eo{NUM - 1}.png").unlink()
    frame = pd.DataFrame(rows, columns=["id", "a", "b"])
    return Samples(
        frame,
        tmp_path,
        "id",
        {"sar": "a", "eo": "b"},
        label=None,
        group=None,
        source=tmp_path / "t.csv",
    )


def dataset(samples: Samples, **options) -> SampleDataset:
    facts = {"sizes": SIZES, "channels": CHANNELS, "missing": "zero", "bits": {"sar": 12, "eo": 16}}
    return SampleDataset(samples, None, **{**facts, **options})


def pixels(data: SampleDataset) -> list[list[list[int]]]:
    return [[image.tolist() for image in data[row].images] for row in range(len(data))]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path, told):
    """A cache of its own: ``cache("disk")``."""

    def make(mode: str, **options) -> PixelCache:
        place = {"folder": tmp_path / "cache", "limit": 10**9}
        return PixelCache(mode, told.append, quiet=True, **{**place, **options})

    return make


def shards(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.npy") if not path.name.endswith(".index.npy"))


@pytest.fixture
def decodes(monkeypatch) -> list[Path]:
    """The files that are decoded, one entry each time."""
    read: list[Path] = []
    whole = pixel_cache.pixels_of

    def counted(contents: list[bytes], source: ImageSource):
        read.append(source.parts[0].path)
        return whole(contents, source)

    monkeypatch.setattr(pixel_cache, "pixels_of", counted)
    return read


@pytest.mark.parametrize("mode", ["auto", "disk", "ram", "off"])
def test_images_are_those_that_decoding_gives(samples, cache, told, mode):
    plain = pixels(dataset(samples))
    for _ in range(2):
        kept = dataset(samples)
        kept.decode_once(cache(mode))
        assert pixels(kept) == plain
    assert told == []
    assert bool(shards(cache(mode).folder)) == (mode in ("auto", "disk"))


def test_what_was_decoded_once_is_not_read_again(samples, cache, decodes, monkeypatch):
    dataset(samples).decode_once(cache("disk"))
    assert len(decodes) == len(set(decodes)) == 2 * NUM - 1
    kept = dataset(samples)
    kept.decode_once(cache("disk"))
    wanted = pixels(dataset(samples))
    for path in samples.folder.glob("*.png"):
        path.write_bytes(b"no image any more")
    assert pixels(kept) == wanted
    assert len(decodes) == 2 * NUM - 1


def test_other_rows_of_the_same_images_find_them(samples, cache, decodes):
    dataset(samples).decode_once(cache("disk"))
    turned = replace(samples, frame=samples.frame.iloc[[6, 2, 2, 0]].reset_index(drop=True))
    kept = dataset(turned)
    kept.decode_once(cache("disk"))
    assert pixels(kept) == pixels(dataset(turned))
    assert len(decodes) == 2 * NUM - 1
    assert len(shards(cache("disk").folder)) == 2


def test_sizes_channels_and_bits_have_places_of_their_own(samples, cache, decodes):
    options = [{}, {"sizes": {"sar": (9, 9), "eo": (16, 16)}}, {"bits": {"sar": 16, "eo": 16}}]
    options.append({"channels": {"sar": 3, "eo": 3}})
    for other in options:
        kept = dataset(samples, **other)
        kept.decode_once(cache("disk"))
        assert pixels(kept) == pixels(dataset(samples, **other))
    assert len(decodes) == 2 * NUM - 1 + 3 * NUM


def test_a_file_that_changed_is_decoded_again_and_no_other(samples, cache, decodes):
    dataset(samples).decode_once(cache("disk"))
    changed = samples.folder / "sar2.png"
    write_image(changed, 99, 33)
    decodes.clear()
    kept = dataset(samples)
    kept.decode_once(cache("disk"))
    assert pixels(kept) == pixels(dataset(samples))
    assert decodes == [changed]


def test_a_file_that_moved_is_known_by_its_content(samples, cache, decodes, tmp_path):
    dataset(samples).decode_once(cache("disk"))
    shutil.copytree(samples.folder, tmp_path / "moved", ignore=shutil.ignore_patterns("cache"))
    moved = replace(samples, folder=tmp_path / "moved")
    decodes.clear()
    kept = dataset(moved)
    kept.decode_once(cache("disk"))
    assert pixels(kept) == pixels(dataset(moved))
    assert decodes == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def turn_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [cut, turn_a_byte, Path.unlink, lambda path: path.write_text("")]
)
@pytest.mark.parametrize("part", ["pixels", "index"])
def test_a_damaged_shard_is_made_anew(samples, cache, damage, part):
    folder = cache("disk").folder
    dataset(samples).decode_once(cache("disk"))
    for path in shards(folder):
        damage(path if part == "pixels" else path.with_suffix(".index.npy"))
    kept = dataset(samples)
    kept.decode_once(cache("disk"))
    assert pixels(kept) == pixels(dataset(samples))


def test_another_format_is_not_read(samples, cache, decodes, monkeypatch):
    dataset(samples).decode_once(cache("disk"))
    monkeypatch.setattr(pixel_cache, "FORMAT", pixel_cache.FORMAT + 1)
    dataset(samples).decode_once(cache("disk"))
    assert len(decodes) == 2 * (2 * NUM - 1)


def test_without_room_on_the_disk_memory_is_taken(samples, cache, told):
    kept = dataset(samples)
    kept.decode_once(cache("auto", limit=500))
    assert pixels(kept) == pixels(dataset(samples))
    assert not shards(cache("auto").folder)
    assert [text.split(":")[0] for text in told] == ["decoded images are not kept on the disk"] * 2
    assert "COMPTOOL_CACHE_GB allows" in told[0]


def test_without_room_anywhere_every_epoch_decodes(samples, cache, told, monkeypatch):
    monkeypatch.setattr(pixel_cache, "available_memory", lambda: 500)
    kept = dataset(samples)
    kept.decode_once(cache("auto", limit=500))
    assert pixels(kept) == pixels(dataset(samples))
    assert told[1].endswith("they are decoded whenever they are needed")


@pytest.mark.parametrize("mode", ["disk", "ram"])
def test_room_that_was_asked_for_and_is_not_there_is_an_error(samples, cache, monkeypatch, mode):
    monkeypatch.setattr(pixel_cache, "available_memory", lambda: 500)
    with pytest.raises(InputError, match="Take --cache off"):
        dataset(samples).decode_once(cache(mode, limit=500))


def test_a_folder_that_cannot_be_made_is_no_folder_for_a_cache(samples, cache, tmp_path, told):
    (tmp_path / "file").write_text("in the way")
    place = {"folder": tmp_path / "file" / "cache"}
    kept = dataset(samples)
    kept.decode_once(cache("auto", **place))
    assert pixels(kept) == pixels(dataset(samples))
    assert "is a file where a folder is needed" in told[0]
    with pytest.raises(OutputError, match="is a file where a folder is needed"):
        dataset(samples).decode_once(cache("disk", **place))


def test_a_damaged_image_is_named_and_leaves_nothing(samples, cache):
    (samples.folder / "sar4.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"sar4\.png"):
        dataset(samples).decode_once(cache("disk"))
    assert [path for path in cache("disk").folder.rglob("*") if path.is_file()] == []


def test_the_least_used_shards_make_room(samples, cache):
    folder = cache("disk").folder
    dataset(samples).decode_once(cache("disk"))
    old = shards(folder)
    for number, path in enumerate(old):
        os.utime(path, (number, number))
    left = folder / f"v{pixel_cache.FORMAT}" / ".x-abcd1234.partial.npy"
    left.write_text("")
    os.utime(left, (0, 0))
    needed = (NUM - 1) * 20 * 20 * 3
    dataset(samples, sizes={"sar": (8, 12), "eo": (20, 20)}).decode_once(
        cache("disk", limit=needed + old[0].stat().st_size + 200)
    )
    assert set(shards(folder)) & set(old) == {path for path in old if "8x12" in str(path)}
    assert not left.exists()


def test_processes_that_build_at_the_same_time_do_not_disturb_one_another(samples, tmp_path):
    """Two at once; what they leave is whole, and a third finds everything."""
    samples.frame.to_csv(tmp_path / "frame.csv", index=False)
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import pandas as pd
from test_pixel_cache import SIZES, dataset
from comptool.data.cache import PixelCache
from comptool.competition.samples import Samples
folder = Path({str(tmp_path)!r})
frame = pd.read_csv(folder / "frame.csv")
names = {{"sar": "a", "eo": "b"}}
samples = Samples(frame, folder, "id", names, None, None, source=folder / "t.csv")
dataset(samples).decode_once(PixelCache("disk", print, True, folder / "cache", 10**9))
"""
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    kept = dataset(samples)
    kept.decode_once(PixelCache("disk", print, True, tmp_path / "cache", 10**9))
    assert pixels(kept) == pixels(dataset(samples))
    assert list((tmp_path / "cache").rglob("*.partial*")) == []


@pytest.mark.parametrize("value", ["much", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_no_size_is_refused(monkeypatch, value):
    monkeypatch.setenv("COMPTOOL_CACHE_GB", value)
    with pytest.raises(InputError, match="COMPTOOL_CACHE_GB has to be a number above 0"):
        pixel_cache.cache_limit()


def test_the_folder_is_the_users_own_or_a_given_one(monkeypatch, tmp_path):
    monkeypatch.delenv("COMPTOOL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert pixel_cache.cache_folder() == tmp_path / "comptool"
    monkeypatch.setenv("COMPTOOL_CACHE", str(tmp_path / "mine"))
    assert pixel_cache.cache_folder() == tmp_path / "mine"


def test_records_and_files_of_several_channels_are_told_apart(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(Path("r.png"), 1)
    write_image(Path("g.png"), 3)
    records = [{"id": n, "a": [n] * 16, "b": [n + 100] * 16} for n in range(2)]
    Path("t.json").write_text(json.dumps(records))
    table = read_table(Path("t.json"))
    bands = [f"{a}|{b}" for a, b in zip(table["a"], table["b"], strict=True)]
    cells = ["r.png|g.png", "g.png|r.png", *bands, f"{table['b'][0]}|{table['a'][0]}"]
    frame = pd.DataFrame({"id": list("abcde"), "p": cells})
    files = ImageFiles(Samples(frame, tmp_path, "id", {"m": "p"}, None, None, tmp_path / "t.csv"))
    form = ChipForm(4, 4, 2, ranges=((0.0, 255.0),))
    for _ in range(2):
        found = cache("disk").images(files, 0, form)
        for row in range(len(cells)):
            plain = to_chip(files.read(row, 0), form, "x")
            np.testing.assert_array_equal(found[row], plain)
    assert found[2].reshape(-1, 2)[0].tolist() == [0, 100]
    assert found[4].reshape(-1, 2)[0].tolist() == [100, 0]


def test_a_plugin_of_another_version_or_content_is_another_reader(tmp_path, monkeypatch):
    class Point(EntryPoint):
        dist = SimpleNamespace(name="own-package", version="1.0")

    point = Point("image-reader.own", "own_package_reader:read", PLUGINS)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_package_reader.py").write_text("def read(content, path): ...\n")
    salts = [reader_salt("own")]
    assert reader_salt("own") == salts[0]
    Point.dist.version = "1.1"
    salts.append(reader_salt("own"))
    (tmp_path / "own_package_reader.py").write_text("def read(content, path): return path\n")
    salts += [reader_salt("own"), reader_salt("numpy"), reader_salt("")]
    assert len(set(salts)) == 5


def test_images_of_the_first_format_are_not_read():
    # It held the first page alone of a TIFF of several.
    assert form_folder(Path(), ChipForm(4, 4, 1)).parts[0] != "v1"


def test_another_reader_or_range_takes_no_image_of_the_cache(cache, tmp_path, monkeypatch, decodes):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.full((4, 4), 100, np.uint8))
    frame = pd.DataFrame({"id": ["a"], "p": ["a.npy"]})
    samples = Samples(frame, tmp_path, "id", {"m": "p"}, None, None, tmp_path / "t.csv")
    half = "import numpy\ndef read(content, path):\n    return numpy.full((4, 4), {}, 'float32')\n"

    def shade(reader: str, form: ChipForm) -> int:
        files = ImageFiles(replace(samples, reader=reader))
        return int(cache("disk").images(files, 0, form)[0][0, 0, 0])

    form = ChipForm(4, 4, 1, ranges=((0.0, 255.0),))
    Path("one.py").write_text(half.format(50))
    Path("two.py").write_text(half.format(60))
    assert shade("", form) == 100
    assert shade("one.py:read", form) == 50
    assert shade("two.py:read", form) == 60
    assert shade("one.py:read", form._replace(ranges=((0.0, 500.0),))) == 26
    assert len(decodes) == 4
    assert shade("one.py:read", form) == 50
    assert len(decodes) == 4

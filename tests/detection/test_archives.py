"""Archives of a download, unpacked by init."""

from __future__ import annotations

import io
import lzma
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from comptool.competition import archives
from comptool.competition.archives import unpack_all
from comptool.competition.config import detected, load
from comptool.competition.samples import training_samples
from comptool.errors import InputError

TABLE = "id,label\n0,a\n1,b\n2,a\n3,b\n"
NAMES = [f"{n}.png" for n in range(4)]


def put(path: Path, names: list[str]) -> Path:
    """An archive with small files of those names."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, TABLE if name.endswith("csv") else "x")
        return path
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            content = TABLE.encode() if name.endswith("csv") else b"x"
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["train.zip", "train.tar", "train.tar.gz", "train.tgz"])
@pytest.mark.parametrize("inside", ["", "train/", "./"])
def test_an_archive_becomes_the_folder_of_its_name(tmp_path, name, inside, monkeypatch):
    (tmp_path / "train.csv").write_text(TABLE)
    put(tmp_path / name, [inside + one for one in (*NAMES, "__MACOSX/._0.png")])
    with pytest.raises(InputError, match=r"Run 'comptool init', which unpacks archives, or: "):
        detected([tmp_path], {})
    found = detected([tmp_path], {}, unpack=True)
    assert f"unpacked {name} into train/ (4 files)" in found.findings
    assert sorted(one.name for one in (tmp_path / "train").iterdir()) == NAMES
    assert len(training_samples(found)) == 4
    assert unpack_all(tmp_path, is_given=True) == []
    assert not list(tmp_path.glob(".unpacking-*"))


def test_an_archive_of_the_whole_download_and_those_in_it(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name in NAMES:
            archive.writestr(name, "x")
    with zipfile.ZipFile(tmp_path / "cup-2024.zip", "w") as archive:
        archive.writestr("train.csv", TABLE)
        archive.writestr("images.zip", inner.getvalue())
    told = unpack_all(tmp_path, is_given=True)
    assert told == [
        "unpacked cup-2024.zip into this folder (2 files)",
        "unpacked images.zip into images/ (4 files)",
    ]
    assert (tmp_path / "images" / "3.png").exists()
    assert unpack_all(tmp_path, is_given=True) == []


def test_a_download_is_unpacked_into_folders_that_are_there(tmp_path):
    put(tmp_path / "cup.zip", ["train.csv", *(f"train/{name}" for name in NAMES), "test/a/9.png"])
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "0.png").write_text("mine")
    (tmp_path / "test").write_text("no folder")
    assert unpack_all(tmp_path, is_given=True) == [
        "unpacked cup.zip into this folder (4 files; left as they were: test/a/9.png, train/0.png)"
    ]
    assert sorted(one.name for one in (tmp_path / "train").iterdir()) == NAMES
    assert (tmp_path / "train" / "0.png").read_text() == "mine"
    assert (tmp_path / "test").read_text() == "no folder"
    (tmp_path / "test").unlink()
    (tmp_path / "train" / "3.png").unlink()
    assert unpack_all(tmp_path, is_given=True) == [
        "unpacked cup.zip into this folder (2 files; left as they were: train.csv, train/0.png, "
        "train/1.png and 1 more)"
    ]
    assert unpack_all(tmp_path, is_given=True) == []


def test_archives_of_something_else_stay_as_they_are(tmp_path):
    put(tmp_path / "code.zip", ["a.py"])
    put(tmp_path / "holiday.zip", NAMES)
    assert unpack_all(tmp_path, is_given=False) == []
    assert unpack_all(tmp_path, is_given=True) == ["unpacked holiday.zip into holiday/ (4 files)"]
    assert not (tmp_path / "code").exists()


@pytest.mark.parametrize("name", ["train.zip", "train.tar"])
@pytest.mark.parametrize("path", ["../out.png", "/tmp/out.png", "a/../../out.png"])
def test_a_path_out_of_the_folder_is_refused(tmp_path, name, path):
    folder = tmp_path / "data"
    folder.mkdir()
    put(folder / name, [*NAMES, path])
    before = sorted(tmp_path.rglob("*"))
    if name.endswith("tar") and path.startswith("/"):
        # tarfile takes the leading / away.
        unpack_all(folder, is_given=True)
        assert (folder / "train" / path.removeprefix("/")).exists()
        return
    with pytest.raises(InputError) as error:
        unpack_all(folder, is_given=True)
    assert "has a path that leads out of its folder; nothing was unpacked" in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    with tarfile.open(tmp_path / "train.tar", "w") as tar:
        for name, kind in (("1.png", tarfile.REGTYPE), ("2.png", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "../../etc/passwd"
            tar.addfile(member)
    with pytest.raises(InputError, match="leads out of its folder"):
        unpack_all(tmp_path, is_given=True)
    assert not (tmp_path / "train").exists()


def test_damage_leaves_nothing_behind(tmp_path):
    path = put(tmp_path / "train.tar.gz", [f"{n}.png" for n in range(500)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"train\.tar\.gz: cannot be unpacked"):
        unpack_all(tmp_path, is_given=True)
    assert [one.name for one in tmp_path.iterdir()] == ["train.tar.gz"]


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("train.zip", EOFError(), "its end is missing"),
        ("train.zip", zlib.error("Error -3"), "Error -3"),
        ("train.tar", lzma.LZMAError("Corrupt input data"), "Corrupt input data"),
    ],
)
def test_damage_is_one_sentence(tmp_path, monkeypatch, name, error, reason):
    def fails(*_, **__):
        raise error

    put(tmp_path / name, NAMES)
    monkeypatch.setattr(zipfile.ZipFile, "extractall", fails)
    monkeypatch.setattr(tarfile.TarFile, "extractall", fails)
    with pytest.raises(InputError) as told:
        unpack_all(tmp_path, is_given=True)
    assert str(told.value) == f"{tmp_path / name}: cannot be unpacked ({reason})"


def test_an_encrypted_archive_asks_for_its_password(tmp_path):
    path = put(tmp_path / "train.zip", NAMES)
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(header)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(header, place + 1)
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        unpack_all(tmp_path, is_given=True)
    assert str(error.value) == f"{path}: is encrypted; unpack it with its password"
    assert [one.name for one in tmp_path.iterdir()] == ["train.zip"]


def test_an_archive_in_an_archive_is_unpacked(tmp_path):
    inner = put(tmp_path / "inner.zip", NAMES)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(inner, "inner.zip")
    inner.unlink()
    (tmp_path / "train.csv").write_text(TABLE)
    assert unpack_all(tmp_path, is_given=False) == [
        "unpacked outer.zip into this folder (1 file)",
        "unpacked inner.zip into inner/ (4 files)",
    ]
    assert unpack_all(tmp_path, is_given=False) == []


def test_too_little_space_is_told_before(tmp_path, monkeypatch):
    put(tmp_path / "train.zip", NAMES)
    usage = archives.shutil.disk_usage(tmp_path)._replace(free=3)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"train\.zip: needs 0\.0 GB unpacked, and 0\.0 GB are fr"):
        unpack_all(tmp_path, is_given=True)
    assert not (tmp_path / "train").exists()


def test_a_7z_archive_names_the_command(tmp_path, monkeypatch):
    (tmp_path / "train.7z").write_bytes(b"7z")
    monkeypatch.setattr(archives, "find_spec", lambda _: None)
    with pytest.raises(InputError) as error:
        unpack_all(tmp_path, is_given=True)
    assert str(error.value) == (
        f"{tmp_path / 'train.7z'}: is a 7z archive, which needs py7zr. Install it (pip install "
        "'comptool[7z]'), or unpack it: 7z x train.7z"
    )


def test_a_7z_archive_is_unpacked(tmp_path):
    py7zr = pytest.importorskip("py7zr")
    with py7zr.SevenZipFile(tmp_path / "train.7z", "w") as archive:
        for name in NAMES:
            archive.writestr("x", f"train/{name}")
    assert unpack_all(tmp_path, is_given=False) == ["unpacked train.7z into train/ (4 files)"]
    assert (tmp_path / "train" / "3.png").read_text() == "x"
    (tmp_path / "test.7z").write_bytes(b"7z" * 100)
    with pytest.raises(InputError, match=r"test\.7z: cannot be unpacked \(not a 7z file\)"):
        unpack_all(tmp_path, is_given=False)


def test_parts_of_an_archive_are_named(tmp_path):
    for part in ("train.zip.001", "train.zip.002"):
        (tmp_path / part).touch()
    assert unpack_all(tmp_path, is_given=True) == [
        "not read: the parts of train.zip; join and unpack them: cat train.zip* > all && 7z x all"
    ]


def test_init_unpacks_and_a_dry_run_does_not(comptool, tmp_path):
    (tmp_path / "train.csv").write_text(TABLE)
    put(tmp_path / "train.zip", NAMES)
    dry = comptool("init", "--dry-run")
    assert dry.exit_code == 3
    assert "Run 'comptool init', which unpacks archives, or: unzip train.zip" in dry.stderr
    assert not (tmp_path / "train").exists()
    done = comptool("init")
    assert done.exit_code == 0, done.stderr
    assert "unpacked train.zip into train/ (4 files)\n" in done.stderr
    assert len(training_samples(load())) == 4


def bomb(path: Path) -> None:
    """Three megabytes of zeros in a few kilobytes."""
    content = bytes(3_000_000)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("1.png", content)
    elif path.suffix == ".7z":
        with pytest.importorskip("py7zr").SevenZipFile(path, "w") as archive:
            archive.writestr(content, "1.png")
    else:
        with tarfile.open(path, f"w:{path.suffix[1:]}") as tar:
            member = tarfile.TarInfo("1.png")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("name", ["train.zip", "train.tar.gz", "train.tar.bz2", "train.7z"])
def test_a_bomb_is_refused_and_allowed_by_a_variable(tmp_path, monkeypatch, name):
    monkeypatch.setattr("comptool.limits.ALWAYS", 10**6)
    bomb(tmp_path / name)
    with pytest.raises(InputError) as error:
        unpack_all(tmp_path, is_given=True)
    assert str(error.value).startswith(f"{tmp_path / name}: holds more than 0.0 GB in 0.0 MB. If ")
    assert "COMPTOOL_MAX_UNPACKED_GB" in str(error.value)
    assert [one.name for one in tmp_path.iterdir()] == [name]
    monkeypatch.setenv("COMPTOOL_MAX_UNPACKED_GB", "0.1")
    assert unpack_all(tmp_path, is_given=True) == [f"unpacked {name} into train/ (1 file)"]


def test_a_name_of_a_tar_that_is_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("comptool.limits.ALWAYS", 10**6)
    with tarfile.open(tmp_path / "train.tar.gz", "w:gz", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("a" * 5_000_000 + ".png"))
    with pytest.raises(InputError, match="holds more than"):
        unpack_all(tmp_path, is_given=True)


@pytest.mark.parametrize("name", ["train.zip", "train.tar", "train.tar.gz"])
@pytest.mark.parametrize("again", ["1.png", "./1.png", "a//1.png"])
def test_two_files_of_one_name_are_refused(tmp_path, name, again):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        put(tmp_path / name, ["0.png", "1.png", "a/1.png", again])
    with pytest.raises(InputError, match="has two files of one name; nothing was unpacked"):
        unpack_all(tmp_path, is_given=True)
    assert [one.name for one in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("path", ["C:/out.png", "C:\\out.png", "\\\\host\\share\\out.png"])
def test_a_path_of_a_drive_is_refused(tmp_path, path):
    put(tmp_path / "train.zip", [*NAMES, path])
    with pytest.raises(InputError, match="leads out of its folder"):
        unpack_all(tmp_path, is_given=True)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_file_through_a_link_and_a_device_are_refused(tmp_path, kind):
    folder = tmp_path / "data"
    folder.mkdir()
    with tarfile.open(folder / "train.tar", "w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = kind, ".."
        for member in (tarfile.TarInfo("1.png"), link, tarfile.TarInfo("out/2.png")):
            tar.addfile(member)
    with pytest.raises(InputError, match=r"train\.tar: "):
        unpack_all(folder, is_given=True)
    assert [one.name for one in tmp_path.rglob("*")] == ["data", "train.tar"]


def test_a_link_of_a_7z_archive_leads_nowhere(tmp_path):
    py7zr = pytest.importorskip("py7zr")
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "out").symlink_to("/etc")
    with py7zr.SevenZipFile(folder / "train.7z", "w") as archive:
        archive.write(__file__, "1.png")
        archive.write(tmp_path / "out", "out")
    try:
        unpack_all(folder, is_given=True)
    except InputError as error:
        assert "\n" not in str(error)
    assert not (folder / "train" / "out").is_symlink()


def test_an_archive_that_holds_itself_is_opened_twice_and_no_more(tmp_path):
    content = put(tmp_path / "4.zip", NAMES).read_bytes()
    (tmp_path / "4.zip").unlink()
    for number in (3, 2, 1):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            archive.writestr(f"{number + 1}.zip", content)
        content = (tmp_path / f"{number}.zip").read_bytes()
        if number > 1:
            (tmp_path / f"{number}.zip").unlink()
    assert unpack_all(tmp_path, is_given=True) == [
        "unpacked 1.zip into this folder (1 file)",
        "unpacked 2.zip into this folder (1 file)",
        "not unpacked: 3.zip, which was in an archive twice",
    ]


@pytest.mark.parametrize("name", ["train.zip", "train.tar", "train.tar.gz", "train.7z"])
def test_damaged_archives_are_one_sentence_and_leave_nothing(tmp_path, mutants, name):
    path = tmp_path / "whole" / name
    path.parent.mkdir()
    if name.endswith("7z"):
        with pytest.importorskip("py7zr").SevenZipFile(path, "w") as archive:
            for one in NAMES:
                archive.writestr("x" * 50, one)
    else:
        put(path, NAMES)
    folder = tmp_path / "data"
    for mutant in mutants(path.read_bytes(), 200):
        folder.mkdir()
        (folder / name).write_bytes(mutant)
        try:
            unpack_all(folder, is_given=True)
        except InputError as error:
            assert "\n" not in str(error), mutant
            assert [one.name for one in folder.iterdir()] == [name], mutant
        shutil.rmtree(folder)
    assert [one.name for one in tmp_path.iterdir()] == ["whole"]

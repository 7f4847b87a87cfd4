"""Outputs that appear together: all of them or none, and none without its record."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comptool.errors import InputError
from comptool.io.atomic import atomic_output, named_late, together


def write(path: Path, text: str = "new") -> None:
    with atomic_output(path, force=True) as temporary:
        temporary.write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_of_a_block_appear_at_its_end(tmp_path):
    (tmp_path / "a").write_text("old")
    with together():
        write(tmp_path / "a")
        write(tmp_path / "sub" / "b")
        assert (tmp_path / "a").read_text() == "old"
        assert not (tmp_path / "sub" / "b").exists()
    assert (tmp_path / "a").read_text() == (tmp_path / "sub" / "b").read_text() == "new"
    assert names(tmp_path) == ["a", "sub"]
    assert names(tmp_path / "sub") == ["b"]


def test_a_block_that_fails_changes_nothing_and_leaves_no_folder(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(InputError, match="the disk is full"), together():
        write(tmp_path / "a")
        write(tmp_path / "new" / "deep" / "b")
        with atomic_output(tmp_path / "c"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_an_interruption_changes_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), together():
        write(tmp_path / "a")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_block_within_a_block_waits_for_the_outer_one(tmp_path):
    with together():
        with together():
            write(tmp_path / "a")
        assert not (tmp_path / "a").exists()
    assert names(tmp_path) == ["a"]


def test_what_is_written_last_appears_first(tmp_path):
    """A second file cannot be put in its place: the record, written later, is there before it."""
    with pytest.raises(InputError, match="out: could not be written"), together():
        write(tmp_path / "out")
        write(tmp_path / "out.meta.json")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").touch()
    assert names(tmp_path) == ["out", "out.meta.json"]
    assert names(tmp_path / "out") == ["mine"]


def test_kill_9_before_the_end_leaves_what_was_there(tmp_path):
    code = (
        "import time; from pathlib import Path; from comptool.io.atomic import *\n"
        "with together():\n"
        "    for name in ('a', 'b'):\n"
        "        with atomic_output(Path(name), force=True) as temporary:\n"
        "            temporary.write_text('new')\n"
        "    print('written', flush=True); time.sleep(60)"
    )
    (tmp_path / "a").write_text("old")
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert child.stdout.readline() == "written\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert (tmp_path / "a").read_text() == "old"
    assert not (tmp_path / "b").exists()


def test_kill_9_in_a_stream_leaves_nothing(tmp_path):
    code = (
        "import os, signal; from pathlib import Path; from comptool.io.atomic import *\n"
        "with atomic_output(Path('a')) as temporary, named_late(temporary) as stream:\n"
        "    stream.write(b'new'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert child.returncode == -signal.SIGKILL
    assert names(tmp_path) == []


@pytest.mark.parametrize("nameless", [True, False])
def test_a_stream_becomes_the_file(tmp_path, monkeypatch, nameless):
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    write(tmp_path / "a")
    with (
        atomic_output(tmp_path / "a", force=True) as temporary,
        named_late(temporary) as stream,
    ):
        assert temporary.exists() is not nameless
        stream.write(b"streamed")
    assert (tmp_path / "a").read_bytes() == b"streamed"
    assert names(tmp_path) == ["a"]
    with (
        pytest.raises(KeyboardInterrupt),
        atomic_output(tmp_path / "a", force=True) as temporary,
        named_late(temporary),
    ):
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_bytes() == b"streamed"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("I/O error: No space left on device (os error 28)"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_full_disk_is_told_however_a_library_puts_it(tmp_path, error):
    with pytest.raises(InputError) as told, atomic_output(tmp_path / "a"):
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("unexpected pos 128 vs 0") from cause
    assert str(told.value) == (
        f"{tmp_path / 'a'}: could not be written, the disk is full; nothing was changed. Free some "
        "space, or write to another disk"
    )


def test_an_error_that_is_none_of_the_disks_passes(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_output(tmp_path / "a"):
        1 / 0  # noqa: B018
    try:
        os.stat(tmp_path / "nowhere")
    except FileNotFoundError as missing:
        cause = missing
    with pytest.raises(InputError, match="no such image"), atomic_output(tmp_path / "a"):
        raise InputError("no such image") from cause
    assert names(tmp_path) == []

"""``comptool simulate`` that is stopped, or has no space: nothing half-made is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


class Drawing:
    """The real program in a session of its own, drawing more than it will have time for."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder, self.log = folder, (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "comptool", "simulate", "mavoc", "--scale", "0.2", "-j", "2",
             "-o", "p", *more],
            cwd=folder, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + 60
        while not any(folder.glob(".p-*/train/0/*.png")):
            assert time.monotonic() < end and self.process.poll() is None, self.said()
            time.sleep(0.01)

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def workers(self) -> list[int]:
        """Processes of the session other than the program, zombies left out."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(int(status.parent.name))
        return [pid for pid in found if pid != self.process.pid]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interruption_leaves_no_half_folder_and_no_process(tmp_path, number):
    (tmp_path / "p.meta.json").write_text('{"command": "simulate"}')
    drawing = Drawing(tmp_path)
    assert len(drawing.workers()) >= 2
    if number == signal.SIGINT:
        os.killpg(drawing.process.pid, number)  # as a terminal does: workers get it too
        assert drawing.process.wait(30) == 130
        assert (
            drawing.said()
            == "comptool simulate: interrupted; nothing was half-written. Run it again\n"
        )
        assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "p.meta.json"]
    else:
        drawing.process.kill()
        assert drawing.process.wait(30) == -signal.SIGKILL
        assert not (tmp_path / "p").exists()
    end = time.monotonic() + 20
    while drawing.workers():
        assert time.monotonic() < end, f"still running: {drawing.workers()}"
        time.sleep(0.05)
    drawing.log.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_is_told_and_leaves_it_as_it_was(file_limit, program, tmp_path, workers):
    (tmp_path / "mine").write_text("x")
    with file_limit(500):
        result = program("simulate", "mavoc", "--scale", "0.002", "-o", "p", "-j", workers)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == (
        "comptool simulate: p: could not be written (File too large); nothing was changed\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_read_only_disk_is_told_before_anything_is_drawn(comptool, no_right):
    result = comptool("simulate", "mavoc", "-o", "new/p")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "comptool simulate: .: this folder cannot be written to. Write elsewhere\n"
    )

"""A folder that a process holds, and what is seen of it from others."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comptool.errors import InputError
from comptool.io.locks import LOCK, hold, is_held

HOLDER = """
import os, sys, time
from pathlib import Path
from comptool.io.locks import hold

with hold(Path(sys.argv[1])):
    if os.fork() == 0:
        print("worker", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds ``tmp_path / "run"``, and has forked a worker."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "worker\n"
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    process.stdout.close()


def test_a_folder_is_held_until_its_holder_is_killed_although_a_worker_lives_on(holder, tmp_path):
    assert is_held(tmp_path / "run") is True
    assert is_held(tmp_path) is False
    holder.kill()
    holder.wait(60)
    os.killpg(holder.pid, 0)
    assert is_held(tmp_path / "run") is False


def test_many_may_look_at_once_at_a_folder_that_nobody_holds(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / LOCK).touch()
    with (tmp_path / LOCK).open() as another:
        fcntl.flock(another, fcntl.LOCK_SH)
        assert is_held(tmp_path) is False


def test_a_held_folder_is_refused_to_who_may_not_write_its_lock(holder, tmp_path, monkeypatch):
    def forbidden(self):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", forbidden)
    with pytest.raises(InputError, match="is at work in it"), hold(tmp_path / "run"):
        pass
    holder.kill()
    holder.wait(60)
    with hold(tmp_path / "run"):  # what cannot be locked fails at its first output
        pass


def test_what_another_process_holds_cannot_be_held(holder, tmp_path, monkeypatch):
    monkeypatch.setattr("comptool.io.locks.PATIENCE", 0.1)
    with pytest.raises(InputError) as refusal, hold(tmp_path / "run"):
        pass
    assert str(refusal.value) == (
        f"{tmp_path}/run: process {holder.pid} on {platform.node()} is at work in it. Wait for "
        "it, or stop it"
    )
    holder.kill()
    holder.wait(60)
    with hold(tmp_path / "run"):
        assert is_held(tmp_path / "run") is True


def test_a_holder_that_did_not_sign_is_another_process(holder, tmp_path, monkeypatch):
    monkeypatch.setattr("comptool.io.locks.PATIENCE", 0.1)
    (tmp_path / "run" / LOCK).write_bytes(b"")
    with (
        pytest.raises(InputError, match="run: another process is at work in it"),
        hold(tmp_path / "run"),
    ):
        pass


def test_two_that_come_at_once_do_not_both_hold(tmp_path):
    """Each takes the lock file away at its end, while the others wait for it."""
    code = """
import sys
from pathlib import Path
from comptool.io.locks import hold
for _ in range(100):
    with hold(Path(sys.argv[1])):
        Path(sys.argv[1], "alone").touch(exist_ok=False)
        Path(sys.argv[1], "alone").unlink()
"""
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_worked_on_without(tmp_path, monkeypatch, number):
    def refused(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)
    with hold(tmp_path / "run"):
        assert is_held(tmp_path / "run") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_looked_at_all_the_same(holder, tmp_path):
    run = tmp_path / "run"
    (run / LOCK).chmod(0o444)
    run.chmod(0o555)
    assert is_held(run) is True
    holder.kill()
    holder.wait(60)
    assert is_held(run) is False
    with hold(run):  # the first output tells that nothing can be written
        pass
    run.chmod(0o755)


def test_a_block_that_ends_lets_go_however_it_ends(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), hold(tmp_path):
            raise ZeroDivisionError
        assert is_held(tmp_path) is False


def test_a_folder_is_made_and_stays_if_something_has_come_into_it(tmp_path):
    for name in ("empty", "full"):
        with hold(tmp_path / name / "run"):
            assert is_held(tmp_path / name / "run") is True
            if name == "full":
                (tmp_path / name / "run" / "file").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"file/run: could not be written"),
        hold(tmp_path / "file" / "run"),
    ):
        pass


def test_of_a_folder_that_is_not_there_nobody_can_tell(tmp_path):
    assert is_held(tmp_path / "none") is None


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="Linux counts open files there")
def test_no_file_is_left_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    with hold(tmp_path):
        is_held(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before

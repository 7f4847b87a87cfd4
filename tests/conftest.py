"""Fixtures that every room uses."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings
from typer.main import get_command

from comptool.competition import schema
from comptool.io.records import header_of

# How long a case takes says nothing of whether it is right, and machines are shared.
settings.register_profile("comptool", deadline=None)
settings.load_profile("comptool")

# A shell that puts a job into the background has it ignore Ctrl-C, and a program hands that on to
# those that it starts: the tests that send one need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Read when torch is loaded, here and by the commands that tests start: several run at a time.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images of tests do not go to the user's folder of caches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPTOOL_CACHE", str(tmp_path_factory.mktemp("decoded")))
        yield


def mutants(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Damaged copies: a bit flipped, bytes at random or a large number, cut, doubled or zeroed."""
    draw = random.Random(seed)
    for number in range(count):
        copy = bytearray(content)
        # Headers and footers are where a parser believes a number.
        near = (0, len(copy) - 1, draw.randrange(len(copy)))
        at = min(max(draw.choice(near) + draw.randint(-200, 200), 0), len(copy) - 1)
        kind = number % 6
        if kind == 0:
            copy[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            copy[at : at + 4] = draw.randbytes(4)
        elif kind == 2:
            copy[at : at + 4] = draw.choice((b"\xff\xff\xff\x7f", b"\xff" * 4, b"\0\0\0\x80"))
        elif kind == 3:
            del copy[at:]
        elif kind == 4:
            copy[at:at] = copy[at : at + draw.randint(1, 64)]
        else:
            copy[at : at + 32] = bytes(len(copy[at : at + 32]))
        yield bytes(copy)


@pytest.fixture(scope="session", name="mutants")
def _mutants() -> Callable[..., Iterator[bytes]]:
    return mutants


@pytest.fixture(scope="session", autouse=True)
def _no_variables() -> Iterator[None]:
    """What the shell says of its competition is none of a test's business."""
    with pytest.MonkeyPatch.context() as patch:
        for name in schema.VARIABLES:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _built_once() -> Iterator[None]:
    """Typer's runner builds all commands for every call, which takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(get_command))
        yield


@pytest.fixture
def comptool(tmp_path, monkeypatch) -> Callable[..., object]:
    """Run a command in this process, in an empty folder: ``comptool("split", "--val", "0.2")``.

    The result has ``exit_code``, ``stdout``, ``stderr`` and, for a bug, ``exception``.
    """
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    app = import_module("comptool.commands.app").app

    def run(*arguments: object):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def program(tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Run the real program as a process in an empty folder; for kills, start-up and pipes."""

    def run(*arguments: object, timeout: float = 120, **options) -> subprocess.CompletedProcess:
        options.setdefault("cwd", tmp_path)
        return subprocess.run(
            [sys.executable, "-m", "comptool", *(str(argument) for argument in arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def file_limit() -> Callable[[int], AbstractContextManager[None]]:
    """``with file_limit(1000):`` no file grows beyond so many bytes, as where a disk ends."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        old, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (old, most))

    return limited


@pytest.fixture
def no_right(monkeypatch) -> None:
    """The system says of every folder that it may not be written to."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))


@pytest.fixture
def real_data() -> Path:
    """The folder of real images and tables; skips the test where there is none."""
    folder = os.environ.get("COMPTOOL_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("COMPTOOL_REAL_DATA names no folder")
    return Path(folder)


@pytest.fixture
def pairs(tmp_path, monkeypatch) -> Callable[..., Path]:
    """A competition of SAR and EO pairs in the working folder, and a maker of untrained runs.

    There are 9 test pairs, and 12 labelled ones of classes a, b, c in ``folds.csv``.
    ``pairs("name", size=32, seed=0, **header)`` writes ``weights/name`` with a tiny network;
    ``pairs.held_out("name", ids)`` its ``oof.csv``.
    """
    import cv2
    import numpy as np
    import torch

    from comptool import models
    from comptool.models.checkpoint_file import save_checkpoint

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()

    def write_table(name: str, count: int, header: str, more: Callable[[int], str]) -> None:
        lines = [header]
        for number in range(count):
            identity = f"{name[:2]}{number:03d}"
            for sensor, side in (("SAR", 32), ("EO", 16)):
                chip = rng.integers(0, 256, (4, 4), dtype=np.uint8)
                chip = cv2.resize(chip, (side, side), interpolation=cv2.INTER_NEAREST)
                cv2.imwrite(str(tmp_path / "data" / f"{sensor}_{identity}.png"), chip)
            lines.append(f"{identity},SAR_{identity}.png,EO_{identity}.png{more(number)}")
        (tmp_path / "data" / f"{name}.csv").write_text("\n".join(lines) + "\n")

    write_table("test", 9, "id,sar_path,eo_path", lambda number: "")
    write_table("train", 12, "id,sar_path,eo_path,label", lambda number: f",{'abc'[number % 3]}")
    (tmp_path / "comptool.toml").write_text(
        'name = "pairs"\ntask = "multiclass"\nmetric = "accuracy"\n[data]\nfolder = "data"\n'
        'train = "train.csv"\ntest = "test.csv"\nid = "id"\nlabel = "label"\n'
        '[modalities]\nsar = "sar_path"\neo = "eo_path"\n'
    )

    def make(run: str, *, size: int = 32, seed: int = 0, **changes) -> Path:
        names = changes.get("modalities", ["sar", "eo"])
        name = "test_efficientnet-dual" if len(names) == 2 else "test_efficientnet"
        torch.manual_seed(seed)
        network = models.create(name, len(changes.get("classes", "abc")))
        with torch.no_grad():
            network.classifier.weight *= 30  # of 0.05 or so: predictions that differ
        header = {
            "model": {"name": name, "options": {}},
            "task": "multiclass",
            "classes": ["a", "b", "c"],
            "class_counts": {"a": 4, "b": 4, "c": 4},
            "metric": "accuracy",
            "modalities": names,
            "img_size": {one: [size, size] for one in names},
            "channels": dict.fromkeys(names, 3),
            "mean": {one: [0.4, 0.5, 0.6] for one in names},
            "std": {one: [0.2, 0.3, 0.4] for one in names},
            "inputs": {"data/train.csv": None},
            "leak": None,
        }
        path = tmp_path / "weights" / run
        path.mkdir(parents=True)
        save_checkpoint(path / "best.safetensors", network, header_of(header | changes, path))
        return path

    def held_out(run: str, ids: list[str]) -> None:
        rows = [f"{identity},0,1,0,0" for identity in ids]
        path = tmp_path / "weights" / run / "oof.csv"
        path.write_text("\n".join(["id,fold,a,b,c", *rows]) + "\n")

    make.held_out = held_out
    return make


@pytest.fixture
def unsealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that a test has edited are read: what is tested comes after their seal."""
    monkeypatch.setattr("comptool.io.seals._fits", lambda seal, values: True)

"""The real program as a timed process, for the benchmarks that drive it from outside."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    """A command that ended well: its JSON result, its messages, wall and CPU seconds."""

    result: dict[str, Any]
    messages: str
    seconds: float
    cpu_seconds: float


def comptool(folder: Path, *arguments: object) -> Done:
    """Run ``comptool ARGUMENTS --json`` in a folder; a command that fails is an error."""
    command = [sys.executable, "-m", "comptool", *map(str, arguments), "--json"]
    start, before = time.perf_counter(), children_cpu_seconds()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} (exit code {done.returncode})\n{done.stderr}")
    result = json.loads(done.stdout.splitlines()[-1])
    return Done(result, done.stderr, round(seconds, 2), round(children_cpu_seconds() - before, 2))


def real_images(parser: argparse.ArgumentParser) -> Path:
    """The folder of real images; a benchmark that cannot do without ends if there is none."""
    data = Path(os.environ.get("COMPTOOL_REAL_DATA") or "no folder is named").resolve()
    if not data.is_dir():
        parser.exit(3, "COMPTOOL_REAL_DATA has to name the folder of real images\n")
    return data


def long_options(description: str | None, quick: str) -> argparse.ArgumentParser:
    """The options of a benchmark that takes long: to go on, and to see whether it works."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--partial", type=Path, help="keep results here, and go on from them")
    parser.add_argument("--quick", action="store_true", help=f"{quick}: whether it works")
    return parser


def children_cpu_seconds() -> float:
    """What the processes that were started here, and have ended, have computed."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Results:
    """What long benchmarks have found so far; with a file they go on where they were stopped."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.found: dict[str, Any] = {}
        if path is not None and path.is_file():
            self.found = json.loads(path.read_text(encoding="utf-8"))

    def get(self, key: str, work: Callable[[], Any]) -> Any:
        """What ``work`` gives, if it is not known yet."""
        if key not in self.found:
            self.found[key] = work()
            print(f"{key}: {self.found[key]}", file=sys.stderr, flush=True)
            if self.path is not None:
                self.path.write_text(json.dumps(self.found, indent=1), encoding="utf-8")
        return self.found[key]

    def of_seed(
        self,
        seed: int,
        rows: Iterable[str],
        prepare: Callable[[Path, int], None],
        measure: Callable[[Path, str, int], Any],
        of: str = "",
    ) -> None:
        """Every row of a seed that is not known yet, in a folder prepared for that seed.

        Rows are measured in their order, one after the other in the same folder. Nothing is
        prepared where all of them are known. ``of`` tells tables of several data sets apart.
        """
        wanted = {row_key(seed, row, of): row for row in rows}
        if wanted.keys() <= self.found.keys():
            return
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, seed)
            for key, row in wanted.items():
                self.get(key, partial(measure, folder, row, seed))

    def seeds(self, row: str, seeds: Iterable[int], of: str = "") -> list[Any]:
        """What a row has found with each seed."""
        return [self.found[row_key(seed, row, of)] for seed in seeds]


def row_key(seed: int, row: str, of: str = "") -> str:
    """What a row of a seed is kept under."""
    return f"{of} seed {seed} {row}".lstrip()

"""What a Python command imports, by the interpreter's own account (``-X importtime``)."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

LINE = re.compile(r"import time: +(\d+) \| +\d+ \| +([\w.]+)$", re.MULTILINE)
SHOWN = 6


def imports(command: Sequence[str], folder: Path) -> dict[str, object]:
    """The modules that a command imports, their seconds, and the packages that take most of those.

    Parameters
    ----------
    command
        Begins with a Python interpreter.
    folder
        Where to run it.
    """
    timed = [command[0], "-X", "importtime", *command[1:]]
    done = subprocess.run(timed, cwd=folder, check=True, capture_output=True, text=True)
    return summary((name, int(spent)) for spent, name in LINE.findall(done.stderr))


def summary(found: Iterable[tuple[str, int]]) -> dict[str, object]:
    """Of modules, each with its microseconds, without those of the modules that it imports."""
    modules, seconds = 0, Counter[str]()
    for name, spent in found:
        modules += 1
        seconds[name.partition(".")[0]] += spent
    return {
        "modules": modules,
        "import_seconds": round(sum(seconds.values()) / 1e6, 3),
        "most": {name: round(spent / 1e6, 3) for name, spent in seconds.most_common(SHOWN)},
    }

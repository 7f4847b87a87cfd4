"""What a machine needs to run comptool from a source tree, and what to carry along in wheels."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable

# By the name that is imported, the wheels that bring it.
COMMANDS = {
    "torch": "torch",
    "timm": "timm",
    "pandas": "pandas",
    "sklearn": "scikit-learn",
    "typer": "typer",
    "cv2": "opencv-python-headless",
    "polars": "polars",
    "_polars_runtime_32": "polars-runtime-32",
    "filelock": "filelock",
    "tqdm": "tqdm",
    "safetensors": "safetensors",
}
TESTS = {
    "pytest": "pytest",
    "pluggy": "pluggy",
    "iniconfig": "iniconfig",
    "packaging": "packaging",
    "pygments": "pygments",
    "hypothesis": "hypothesis",
    "sortedcontainers": "sortedcontainers",
}
OLDEST = (3, 11)


def missing(needed: dict[str, str]) -> list[str]:
    """Wheels whose modules cannot be imported."""
    return [wheel for name, wheel in needed.items() if importlib.util.find_spec(name) is None]


def sentence(wheels: Iterable[str]) -> str:
    """What is missing, and how to bring it."""
    names = " ".join(wheels)
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"this Python lacks {names}: fetch them elsewhere with 'pip download --no-deps "
        f"--only-binary=:all: --python-version {version} -d wheels {names}', unpack each with "
        "'python -m zipfile -e WHEEL FOLDER', and set PYTHONPATH=FOLDER"
    )


def end_if_missing() -> None:
    """End the program with one line if comptool cannot run here."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:2]))
        sys.exit(f"comptool needs Python {'.'.join(map(str, OLDEST))} or newer; this is {found}")
    if wheels := missing(COMMANDS):
        sys.exit(sentence(wheels))

"""Downloads of a few images and tables, and what they are taken for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.competition.config import Competition, detected

CHIP = cv2.imencode(".png", np.full((4, 4), 7, np.uint8))[1].tobytes()


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """Write images by name and tables by text, where ``sample`` is the sample submission.

    ``write(folder, "1.png", "2.png", train="id,label\\n...")`` gives the folder.
    """

    def put(folder: Path, *names: str, **tables: str) -> Path:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(CHIP)
        for stem, text in tables.items():
            folder.mkdir(exist_ok=True)
            name = "sample_submission" if stem == "sample" else stem
            (folder / f"{name}.csv").write_text(text)
        return folder

    return put


@pytest.fixture
def download(tmp_path, write) -> Callable[..., Path]:
    """Write images ``0.png``, ``1.png`` and so on, and tables: ``download(6, train="id,...")``."""
    return lambda number, **tables: write(tmp_path, *map("{}.png".format, range(number)), **tables)


@pytest.fixture(scope="session")
def rows() -> Callable[[str, str, range], str]:
    """The text of a table: a header, and a template of ``{n}``, ``{even}``, ``{third}`` by row."""

    def text(header: str, template: str, numbers: range) -> str:
        lines = [template.format(n=n, even=n % 2, third=n % 3) for n in numbers]
        return "\n".join([header, *lines, ""])

    return text


@pytest.fixture(scope="session")
def detect() -> Callable[..., Competition]:
    """What a folder is taken for, beside the facts that are given."""
    return lambda folder, **given: detected([folder], given)

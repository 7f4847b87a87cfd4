"""Cache of measurements and checks of this machine or card; the first result is kept."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch

from comptool.errors import InputError
from comptool.io.documents import read_json
from comptool.io.leftovers import new_partial_file, remove_leftovers
from comptool.machine import cache_folder

Found = TypeVar("Found", float, str)
FOLDER, FORMAT = "autotune", 1


class TuningCache:
    """Results by machine or card, torch version and ``what``; the first one is kept.

    A result has a value for each of several names, all of one kind: seconds, or texts.
    """

    def __init__(self, what: Mapping[str, Any], device: torch.device) -> None:
        machine = cpu_name() if device.type == "cpu" else torch.cuda.get_device_name(device)
        self._what = {"format": FORMAT, "machine": machine, "torch": torch.__version__, **what}
        text = json.dumps(self._what, sort_keys=True)
        self._name = hashlib.sha256(text.encode()).hexdigest()[:24]
        self._folder = cache_folder() / FOLDER

    def read(
        self,
        question: str,
        names: Collection[str],
        kind: type[Found] = float,  # type: ignore[assignment]
    ) -> dict[str, Found] | None:
        """The cached values by name, or None."""
        try:
            found = read_json(self._path(question))["found"]
            whole = found.keys() == set(names) and {type(one) for one in found.values()} == {kind}
        except (InputError, TypeError, KeyError, AttributeError):
            return None
        return found if whole else None

    def is_writable(self) -> bool:
        """Whether the cache folder is writable."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        return os.access(self._folder, os.W_OK)

    def forget(self, question: str) -> None:
        """Delete a result, if it is kept."""
        with suppress(OSError):
            self._path(question).unlink(missing_ok=True)

    def keep(
        self,
        question: str,
        found: Mapping[str, Found],
        kind: type[Found] = float,  # type: ignore[assignment]
    ) -> dict[str, Found] | None:
        """Store a result; returns the cached one, perhaps another run's, or None."""
        path, names = self._path(question), tuple(found)
        try:
            remove_leftovers(self._folder)
            temporary = new_partial_file(path)
        except OSError:
            return None
        try:
            document = {"of": self._what, "found": found}
            temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
            # Unlike a rename, a link replaces nothing: concurrent runs agree.
            os.link(temporary, path)
        except FileExistsError:
            if self.read(question, names, kind) is None:
                os.replace(temporary, path)
        except OSError:
            return None
        finally:
            temporary.unlink(missing_ok=True)
        return self.read(question, names, kind)

    def _path(self, question: str) -> Path:
        return self._folder / f"{self._name}-{question}.json"


def cpu_name() -> str:
    """The processor's name, or its architecture."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()

"""What was measured of the ways to compute a network, kept so that it is measured once.

A measurement is never quite the same twice, and another layout or number of threads rounds
otherwise. What was found first is kept for this machine, network and shape of batches, and holds
for all later runs: those of one seed end with the same weights. Nobody replaces what is there,
so that runs that begin together agree too.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from comptool.data.pixel_cache import cache_folder

FOLDER = "ways"
FORMAT = 1


class KeptWays:
    """What is known of one network, shape of batches and machine.

    Parameters
    ----------
    what
        JSON values that the measurement depends on, beside the machine and torch's version.
    answers
        JSON values of the same names and types as the answer to each question.
    device
        Where the network is.
    """

    def __init__(
        self,
        what: Mapping[str, Any],
        answers: Mapping[str, Mapping[str, Any]],
        device: torch.device,
    ) -> None:
        self._answers = answers
        self._what = {
            "format": FORMAT,
            "machine": cpu_name() if device.type == "cpu" else torch.cuda.get_device_name(device),
            "torch": torch.__version__,
            **what,
        }
        text = json.dumps(self._what, sort_keys=True)
        self._name = hashlib.sha256(text.encode()).hexdigest()[:24]
        self._folder = cache_folder() / FOLDER

    def read(self, question: str) -> dict[str, Any] | None:
        """What was found to a question; None if it has not been asked, or cannot be read."""
        try:
            document = json.loads(self._path(question).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        found = document.get("found") if isinstance(document, dict) else None
        return found if _alike(found, self._answers[question]) else None

    def can_keep(self) -> bool:
        """Whether something can be written there."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        return os.access(self._folder, os.W_OK)

    def keep(self, question: str, found: Mapping[str, Any]) -> dict[str, Any] | None:
        """Write what was found; gives what is there then, which may be another run's.

        None if it cannot be written.
        """
        path = self._path(question)
        try:
            descriptor, name = tempfile.mkstemp(dir=self._folder, suffix=".partial")
        except OSError:
            return None
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump({"of": self._what, "found": dict(found)}, stream, indent=1)
            os.link(name, path)  # unlike a renaming, this replaces nothing
        except FileExistsError:
            if self.read(question) is None:
                os.replace(name, path)
        except OSError:
            return None
        finally:
            Path(name).unlink(missing_ok=True)
        return self.read(question)

    def _path(self, question: str) -> Path:
        return self._folder / f"{self._name}-{question}.json"


def _alike(one: Any, other: Any) -> bool:
    """Whether JSON values have the same names, and values of the same types."""
    if not isinstance(other, Mapping):
        return type(one) is type(other)
    if not isinstance(one, dict) or one.keys() != other.keys():
        return False
    return all(_alike(one[name], value) for name, value in other.items())


def cpu_name() -> str:
    """The processor's name as Linux knows it, elsewhere its kind."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()

"""The garbage collector rests while torch is imported, and only then."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from comptool.lazy_torch import loading_torch

CODE = """
import gc
import os
from importlib import import_module

loading_torch = import_module("comptool.lazy_torch").loading_torch
with loading_torch():
    assert not gc.isenabled()
    import torch
    import torch._dynamo
assert gc.isenabled()
assert gc.get_freeze_count() > 100_000, gc.get_freeze_count()
assert (os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]) == ("PASSIVE", "1000")
with loading_torch():  # nothing heavy is left to import
    assert gc.isenabled()
"""


def test_the_collector_rests_while_torch_is_imported_and_python_ends_quietly():
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    ("given", "spins"), [({"OMP_WAIT_POLICY": "ACTIVE"}, None), ({"GOMP_SPINCOUNT": "7"}, "7")]
)
def test_how_threads_wait_stays_as_somebody_has_set_it(given, spins, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(given))
    with loading_torch():
        assert os.environ.get("GOMP_SPINCOUNT") == spins
    assert os.environ["OMP_WAIT_POLICY"] == given.get("OMP_WAIT_POLICY", "PASSIVE")


def test_an_import_that_fails_leaves_the_collector_on():
    code = CODE.split("with loading", 1)[0] + (
        "try:\n"
        "    with loading_torch():\n"
        "        import comptool.no_such_module\n"
        "except ModuleNotFoundError:\n"
        "    assert gc.isenabled()\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")

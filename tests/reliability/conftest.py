"""The reliability campaign in a process of its own, which may fork: tests start threads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import json, sys
from pathlib import Path
{fault}
from benchmarks.campaign import forked
forked.import_once()
from benchmarks.campaign import kills, mutations
part, folder, number, names = json.loads(sys.argv[1])
module = {{"kills": kills, "mutations": mutations}}[part]
print(json.dumps(module.campaign(Path(folder), 0, number, 1e6, names=set(names))))
"""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """``campaign("kills", 10, "split")``: what that part found."""

    def run(part: str, number: int, *names: str, fault: str = "") -> dict:
        folder = tmp_path_factory.mktemp(part) / "campaign"
        given = json.dumps([part, str(folder), number, names])
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(fault=fault), given],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run

"""Parquet tables whose bytes make their parser panic or abort."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from comptool.errors import InputError
from comptool.io import parquet
from comptool.io.parquet import scan_parquet
from comptool.io.predictions import read_predictions
from comptool.io.provenance import record
from comptool.io.tables import read_table

pytestmark = pytest.mark.usefixtures("unsealed")

# Reads each file in a fork; prints how it ended. Nothing here uses polars before a fork does.
TRY_ALL = """
import os, resource, sys
import polars
resource.setrlimit(resource.RLIMIT_AS, (8 << 30,) * 2)
for path in sys.argv[1:]:
    child = os.fork()
    if not child:
        code = 0
        try:
            polars.read_parquet(path)
        except (polars.exceptions.PolarsError, OSError):
            code = 3
        except BaseException:
            code = 134
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
FRAME = pl.DataFrame(
    {
        "id": [f"i{number}" for number in range(60)],
        "a": [number / 60 for number in range(60)],
        "b": [1 - number / 60 for number in range(60)],
        "pred": ["a", "b", None] * 20,
    }
)


@pytest.fixture(scope="module")
def crashing(tmp_path_factory, mutants) -> list[Path]:
    """Of 300 damaged tables those that do not end in an error of polars."""
    folder = tmp_path_factory.mktemp("damaged")
    FRAME.write_parquet(folder / "sound.parquet")
    content = (folder / "sound.parquet").read_bytes()
    paths = []
    for number, mutant in enumerate(mutants(content, 300)):
        paths.append(folder / f"{number}.parquet")
        paths[-1].write_bytes(mutant)
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TRY_ALL, *paths], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    codes = [int(line) for line in done.stdout.split()]
    return [path for path, code in zip(paths, codes, strict=True) if code not in (0, 3)]


def test_a_table_that_crashes_its_parser_is_one_sentence(crashing, capfd):
    assert crashing
    for path in crashing[:4]:
        with pytest.raises(InputError, match=r"\.parquet: is no Parquet table \(") as error:
            scan_parquet(path)
        assert "\n" not in str(error.value)
    for read in (read_table, read_predictions):
        with pytest.raises(InputError, match="is no Parquet table"):
            read(crashing[0])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "its parser crashed (SIGABRT)"),
        ("import os; os.kill(os.getpid(), 9)", "its parser was killed, perhaps for want of memory"),
        ("raise SystemExit(7)", "its parser failed (exit code 7)"),
        ("import time; time.sleep(60)", "reading it takes longer than 1 s"),
    ],
)
def test_how_the_parser_ended_is_told(tmp_path, monkeypatch, code, reason):
    monkeypatch.setattr(parquet, "TRIAL", code)
    monkeypatch.setattr(parquet, "SECONDS", 1)
    FRAME.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError) as error:
        scan_parquet(tmp_path / "t.parquet")
    assert str(error.value) == f"{tmp_path / 't.parquet'}: is no Parquet table ({reason})"


def test_a_table_is_tried_out_once_until_it_changes(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(
        parquet.subprocess,
        "run",
        lambda *a, **_: tried.append(a) or subprocess.CompletedProcess(a, 0),
    )
    path = tmp_path / "t.parquet"
    FRAME.write_parquet(path)
    for _ in range(3):
        assert scan_parquet(path).equals(FRAME)
    assert len(tried) == 1
    FRAME.head(3).write_parquet(path)
    assert len(scan_parquet(path)) == 3
    assert len(tried) == 2


def test_a_table_with_a_record_is_as_recorded_and_not_tried_out(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    FRAME.write_parquet(path)
    record(path, command="infer", arguments={})
    monkeypatch.setattr(parquet.subprocess, "run", None)
    assert scan_parquet(path).equals(FRAME)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(pl, "read_parquet", None)
    with pytest.raises(InputError, match=r"is not the file that t\.parquet\.meta\.json was"):
        scan_parquet(path)


@pytest.mark.parametrize("command", ["infer", "split"])
def test_a_table_that_its_record_cannot_vouch_for_is_tried_out(crashing, tmp_path, command):
    """The record is of an older version, or the table was edited after it."""
    path = tmp_path / "t.parquet"
    FRAME.write_parquet(path)
    meta = record(path, command=command, arguments={})
    if command == "infer":
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {"sha256": None}))
    path.write_bytes(crashing[0].read_bytes())
    with pytest.raises(InputError, match="is no Parquet table"):
        scan_parquet(path)


def test_a_damaged_table_ends_a_command_with_exit_code_3(crashing, program, tmp_path):
    (tmp_path / "preds.parquet").write_bytes(crashing[0].read_bytes())
    done = program("ensemble", "preds.parquet", "preds.parquet", "-o", "out.csv", "-q")
    assert done.returncode == 3, done
    assert done.stderr.startswith("comptool ensemble: preds.parquet: is no Parquet table (")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()

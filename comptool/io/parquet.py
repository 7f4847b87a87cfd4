"""Parquet tables: their parser, which one flipped bit can abort, sees checked bytes alone.

A file that has the SHA-256 in its record is what comptool wrote. Any other one is first read by a
process of its own, where an abort, a panic or an endless loop harms nobody; that costs half a
second.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import polars as pl

from comptool.errors import InputError
from comptool.io.atomic import named_late
from comptool.io.verification import is_verified
from comptool.machine import available_memory, ending

PARQUET = ".parquet"
REFUSED, UNCHECKED = 3, 4
SECONDS, SECONDS_PER_MEGABYTE = 60, 2
SPARE_MEMORY = 4 << 30  # of addresses that are reserved and not used
THREADS = "4"
# Prints why the table is refused. A damaged length is an error of memory at once, and not the end
# of this machine's memory.
TRIAL = f"""
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
except (ImportError, ValueError, OSError):
    pass
try:
    import polars
except ImportError:
    sys.exit({UNCHECKED})
try:
    polars.read_parquet(sys.argv[1], glob=False)
except (polars.exceptions.PolarsError, OSError) as error:
    sys.stdout.buffer.write(str(error).encode(errors="replace"))
    sys.stdout.flush()
    sys.exit({REFUSED})
"""


def scan_parquet(path: Path) -> pl.DataFrame:
    """The columns of a Parquet file with their types.

    Raises
    ------
    InputError
        If it is not a Parquet table, is damaged, or is not the file that its record is of.
    """
    if not is_verified(path):
        seen = path.stat()
        _try_out(
            path, path.absolute(), seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
        )
    try:
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _refused(path, str(error)) from error
    except pl.exceptions.PanicException as error:
        raise _refused(path, "its parser failed") from error


@lru_cache(maxsize=64)
def _try_out(path: Path, absolute: Path, inode: int, size: int, *changed: int) -> None:
    """Read the table in another process; a command reads some tables several times."""
    limit = SECONDS + SECONDS_PER_MEGABYTE * size / 1e6
    memory = available_memory() + SPARE_MEMORY
    try:
        # -P: a file of the user called polars.py is not imported.
        done = subprocess.run(
            [sys.executable, "-P", "-c", TRIAL, str(absolute), str(memory)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
            env={**os.environ, "POLARS_MAX_THREADS": THREADS},
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(path, f"reading it takes longer than {limit:.0f} s") from error
    if done.returncode == REFUSED:
        raise _refused(path, done.stdout.decode(errors="replace"))
    if done.returncode not in (0, UNCHECKED):
        raise _refused(path, f"its parser {ending(done.returncode)}")


def _refused(path: Path, reason: str) -> InputError:
    return InputError(f"is no Parquet table ({' '.join(reason.split())[:200]})", file=path)


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Write columns with their types."""
    packed = io.BytesIO()
    frame.write_parquet(packed)
    # polars itself reports a full disk at the end of the table as bad Thrift.
    with named_late(path) as stream:
        stream.write(packed.getbuffer())

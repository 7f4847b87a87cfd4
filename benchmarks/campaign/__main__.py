"""Run a part of the reliability campaign and print what it found as JSON.

    python -m benchmarks.campaign kills [--seed 0] [--number 150] [--minutes 25] [--case N]
    python -m benchmarks.campaign mutations | load | concurrency
    python -m benchmarks.campaign all

``--case N`` repeats one case of a seed, with the ``--number`` (of kills) and ``--only`` that it was
found with.
``all`` runs the four and writes ``benchmarks/results/DATE-reliability.json``; ``--minutes`` is for
each part, and checked between cases.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.campaign import forked

# Load comes first: it measures memory, and starts from a process that has imported little.
NUMBERS = {"load": 1, "kills": 150, "mutations": 3000, "concurrency": 5}
ONLY = "kills: these steps; mutations: pairs or labels; load: these kinds"
RESULTS = Path(__file__).parents[1] / "results"


def part(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One part, in a folder of its own that is deleted afterwards."""
    module = import_module(f"benchmarks.campaign.{name}")
    if name != "load":
        forked.import_once()
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    start = time.perf_counter()
    try:
        number = NUMBERS[name] if options.number is None else options.number
        number = number if name == "load" else int(number)
        more = {} if options.case is None else {"only": options.case}
        if options.only:
            more["names"] = set(options.only)
        found = module.campaign(folder, options.seed, number, options.minutes, **more)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {**found, "seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    """Run, print and, for all, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*NUMBERS, "all"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--number", type=float, help="of kills, mutations or seeds; load: the share of the sizes"
    )
    parser.add_argument("--minutes", type=float, default=1e6, help="of each part")
    parser.add_argument("--case", type=int, help="of a kill or mutation to repeat")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=ONLY)
    options = parser.parse_args()
    names = NUMBERS if options.part == "all" else [options.part]
    found = {name: part(name, options) for name in names}
    print(json.dumps(found, indent=1))
    if options.part == "all":
        keep(found)


def keep(found: dict[str, Any]) -> None:
    """Put the results into the file of the day."""
    from benchmarks.run import machine

    document = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(), "campaign": found}
    path = RESULTS / f"{document['date']}-reliability.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(path, file=sys.stderr)


if __name__ == "__main__":
    main()

"""What the commands give on three small competitions, so that a change of layout changes nothing.

    python tests/golden/record.py record  [--only NAME]   write record.json, or parts of it
    python tests/golden/record.py compare [--only NAME]   print what differs; exit code 1 if any

NAME is a section (``pairs``, ``chips``, ``scenes``, ``listings``; ``simulate`` runs only where it
is named) or steps of it (``pairs/train-*``); it may be repeated. The comptool that is installed for
the running Python is what is measured, by its command line alone.

Where the machine and the versions are those of the record, bytes are compared. Elsewhere floats
round otherwise: before the first training of a section words have to be equal and floats nearly so.
From there on rounding grows (eight epochs on AVX2 for AVX512 moved probabilities by up to 0.15), so
that only exit codes, files, columns, and names and norms of tensors are compared.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import downloads
from steps import OPTIONAL, SECTIONS, steps

RECORD = Path(__file__).with_name("record.json")
PACKAGES = ("torch", "timm", "numpy", "pandas", "polars", "scipy", "scikit-learn", "onnxruntime",
            "opencv-python-headless", "albumentations")  # fmt: skip
VECTORS = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"}
# Of floats, absolutely below one and relatively above; of norms of tensors on another machine.
SAME, NEAR = 1e-5, 1e-2
# Facts of a moment or a machine, in records and headers.
VOLATILE = {"versions", "git_commit", "time", "seal", "arguments", "options", "sha256", "size",
            "digests", "comptool", "seconds", "images_per_second"}  # fmt: skip
# Long texts are known by a digest; of shorter ones a difference can be shown.
SHOWN = 1500
DIGEST, TENSOR_DIGEST = 16, 6
# Of so many floats of one text all are kept, of more every second, third, ... and all their norm.
FEW = 80
# The names of so many tensors are kept, of more only their digest.
NAMED = 100

_FLOAT = re.compile(r"(?<![\w.])-?(?:\d+\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+)(?![\w.])")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[+-]\d\d:\d\d)?")
_HEX = re.compile(r"\b[0-9a-f]{40,64}\b")

Entry = dict[str, Any]
How = Literal["bytes", "floats", "form"]


def digest(content: str | bytes, length: int = DIGEST) -> str:
    """The first digits of the SHA-256."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:length]


def rounded(values: Sequence[float], form: str = ".6f") -> str:
    """Six decimals of each, or of some and the norm of all."""
    kept = list(values[:: -(-len(values) // FEW)]) if values else []
    if len(kept) < len(values):
        kept.append(float(np.linalg.norm(values)))
    texts = (f"{value:{form}}" for value in kept)
    texts = (
        text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text for text in texts
    )
    return " ".join("." + text[2:] if text.startswith("0.") else text for text in texts)


def text_entry(text: str, here: Path) -> Entry:
    """A text apart into its words and its floats, without places and times."""
    text = _HEX.sub("<digest>", _TIME.sub("<time>", text.replace(str(here), "<here>")))
    words = _FLOAT.sub("#", text)
    numbers = rounded([float(found) for found in _FLOAT.findall(text)])
    entry = {"sha": digest(text), "words": words if len(words) <= SHOWN else digest(words)}
    return {**entry, "floats": numbers} if numbers else entry


def table_entry(path: Path, here: Path) -> Entry:
    """A CSV without the columns that say how long something took."""
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    kept = [place for place, name in enumerate(rows[0]) if name not in VOLATILE]
    if len(kept) == len(rows[0]):
        entry = text_entry(path.read_text(encoding="utf-8"), here)
    else:
        entry = text_entry("\n".join(",".join(row[k] for k in kept) for row in rows), here)
    shape = f"{len(rows) - 1} rows of {','.join(rows[0])}"
    return {**entry, "words": digest(entry["words"]), "shape": shape[:200]}


def document_entry(document: Any, here: Path) -> Entry:
    """JSON values without those of a moment; a settings' ``arguments`` are kept in ``run.json``."""
    entry = text_entry(json.dumps(_lasting(document), sort_keys=True), here)
    return {**entry, "words": digest(entry["words"])}


def _lasting(value: Any) -> Any:
    if isinstance(value, list):
        return [_lasting(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: _lasting(one) for key, one in value.items() if key not in VOLATILE}


def checkpoint_entry(path: Path, here: Path, names: dict[str, list[str]]) -> Entry:
    """A digest and the norm of every tensor, and the header; ``names`` takes their names."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    about = json.loads(header.pop("__metadata__")["comptool"])
    digests, norms, layout = [], [], []
    for name in sorted(header):
        begin, end = (8 + size + place for place in header[name]["data_offsets"])
        data = raw[begin:end]
        shape = "x".join(map(str, header[name]["shape"]))
        layout.append(f"{name} {header[name]['dtype']} {shape}")
        digests.append(digest(data, TENSOR_DIGEST))
        if header[name]["dtype"] == "F32":
            norms.append(float(np.linalg.norm(np.frombuffer(data, np.float32).astype(float))))
    text = "\n".join(layout)
    if len(layout) <= NAMED:
        names[digest(text)] = layout
    return {
        "tensors": " ".join(digests),
        "names": digest(text),
        "norms": rounded(norms, ".6g"),
        "header": document_entry({**about, "settings": about.get("arguments")}, here),
    }


def archive_entry(path: Path, here: Path) -> Entry:
    """The members of a zip, as texts."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    entries = {name: text_entry(text, here) for name, text in members.items()}
    return {name: {**one, "words": digest(one["words"])} for name, one in entries.items()}


def array_entry(path: Path) -> Entry:
    """The probabilities of a .npy file."""
    array = np.load(path)
    words = f"{array.dtype} {array.shape}"
    floats = rounded(array.ravel().tolist())
    return {"sha": digest(array.tobytes()), "words": words, "floats": floats}


def file_entry(path: Path, here: Path, names: dict[str, list[str]]) -> Entry:
    """What is recorded of a file; of pictures, pages and states only that they are there."""
    if path.suffix == ".csv":
        return table_entry(path, here)
    if path.suffix == ".safetensors":
        return checkpoint_entry(path, here, names)
    if path.suffix == ".zip":
        return archive_entry(path, here)
    if path.suffix == ".npy":
        return array_entry(path)
    if path.suffix == ".toml":
        return text_entry(path.read_text(encoding="utf-8"), here)
    if path.suffix == ".json":
        document = json.loads(path.read_text(encoding="utf-8"))
        if path.name == "run.json":
            document["settings"] = document.get("arguments")
        return document_entry(document, here)
    return {}


def folder_entry(folder: Path) -> Entry:
    """A practice competition: its tables, and one digest of all its images."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    tables = {path.name: digest(path.read_bytes()) for path in files if path.suffix == ".csv"}
    images = [path for path in files if path.suffix in (".png", ".jpg")]
    everything = "".join(digest(path.read_bytes()) for path in images)
    return {**tables, "images": f"{len(images)}, {digest(everything)}"}


def state(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of every file that a command could have written."""
    found = {}
    for path in folder.rglob("*"):
        hidden = path.name.startswith(".") or path.suffix == ".lock"
        if path.is_file() and not hidden:
            found[path] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


def environment(cache: Path) -> dict[str, str]:
    """One thread, no GPU, nothing of the user's shell that a command reads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMPTOOL_")}
    single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {
        **kept, **single, "COMPTOOL_CACHE": str(cache), "CUDA_VISIBLE_DEVICES": "",
        "PYTHONHASHSEED": "0", "COLUMNS": "100", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1",
        "PYTHONIOENCODING": "utf-8",
    }  # fmt: skip


def run_section(section: str, folder: Path, say: Callable[[str], None]) -> Entry:
    """Run all commands of a section in a new folder; what each gave, by its name."""
    here, cache = folder / section, folder / f"cache-{section}"
    here.mkdir(parents=True)
    if hasattr(downloads, section):
        getattr(downloads, section)(here)
    images = folder_entry(here)
    names: dict[str, list[str]] = {}
    made: dict[str, Entry] = {}
    for name, arguments in steps(section).items():
        before, started = state(here), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "comptool", *arguments],
            cwd=here, env=environment(cache), capture_output=True, encoding="utf-8", timeout=300,
        )  # fmt: skip
        entry: Entry = {"exit": done.returncode, "stdout": text_entry(done.stdout, here)}
        written = [path for path, was in state(here).items() if before.get(path) != was]
        if section in OPTIONAL:
            entry["files"] = {name: folder_entry(here / name)}
        else:
            entry["files"] = {
                path.relative_to(here).as_posix(): file_entry(path, here, names)
                for path in sorted(written)
            }
        made[name] = entry
        (folder / f"{section}.log").open("a").write(f"== {name}\n{done.stdout}\n{done.stderr}\n")
        say(f"{section}/{name}: {time.perf_counter() - started:.1f} s, exit {done.returncode}")
    return {"download": images, "names": names, "steps": made}


def machine() -> dict[str, str]:
    """What bytes depend on beside the code."""
    import torch

    about = _read("/proc/cpuinfo")
    processor = re.search(r"model name\s*: (.+)", about)
    flags = re.search(r"flags\s*: (.+)", about)
    vectors = set(flags[1].split()) & VECTORS if flags else set()
    return {
        **{name: metadata.version(name) for name in PACKAGES},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "processor": processor[1] if processor else platform.machine(),
        "vectors": " ".join(sorted(vectors)),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""


def differences(old: Any, new: Any, how: How, place: str = "") -> Iterator[str]:
    """Where two entries differ, a line each."""
    if isinstance(old, dict) and isinstance(new, dict):
        if "words" in old and "words" in new:
            yield from _texts(old, new, how, place)
            return
        if "tensors" in old and "tensors" in new:
            yield from _checkpoints(old, new, how, place)
            return
        for key in sorted(old.keys() | new.keys()):
            where = f"{place} {key}".strip()
            if key not in new:
                yield f"{where}: is missing now"
            elif key not in old:
                yield f"{where}: is new"
            else:
                yield from differences(old[key], new[key], how, where)
    elif old != new:
        yield f"{place}: was {old!r}, is {new!r}"


def _texts(old: Entry, new: Entry, how: How, place: str) -> Iterator[str]:
    if how == "form":
        columns = [one.get("shape", "").partition(" rows of ")[2] for one in (old, new)]
        if columns[0] != columns[1]:
            yield f"{place}: had columns {columns[0]}, has {columns[1]}"
        return
    found = []
    if old.get("shape") != new.get("shape"):
        found.append(f"was {old.get('shape')}, is {new.get('shape')}")
    elif old["words"] != new["words"]:
        found.append(f"other words or whole numbers\n{_beside(old['words'], new['words'])}".strip())
    if far := _far(old.get("floats", ""), new.get("floats", ""), SAME):
        found.append(far)
    if how == "bytes" and not found and old["sha"] != new["sha"]:
        found.append("other bytes, equal in six digits")
    yield from (f"{place}: {one}" for one in found)


def _beside(old: str, new: str) -> str:
    """The lines that only one of two texts has, where they are recorded as such."""
    lines = ([], old.splitlines(), new.splitlines())
    if len(old) == len(new) == DIGEST:
        return ""
    gone = [f"      - {line}" for line in lines[1] if line not in lines[2]]
    come = [f"      + {line}" for line in lines[2] if line not in lines[1]]
    return "\n".join([*gone[:6], *come[:6]])


def _far(old: str, new: str, tolerance: float) -> str:
    one, two = (np.array(text.split(), dtype=float) for text in (old, new))
    if len(one) != len(two):
        return f"had {len(one)} floats, has {len(two)}"
    apart = np.abs(one - two) / np.maximum(1, np.abs(one))
    if not (apart > tolerance).any():
        return ""
    most = int(apart.argmax())
    count = int((apart > tolerance).sum())
    return f"{count} of {len(one)} floats moved, most from {one[most]:g} to {two[most]:g}"


def _checkpoints(old: Entry, new: Entry, how: How, place: str) -> Iterator[str]:
    yield from differences(old["header"], new["header"], how, f"{place} header")
    if old["names"] != new["names"]:
        yield f"{place}: other names, types or shapes of tensors"
        return
    apart = [a != b for a, b in zip(old["tensors"].split(), new["tensors"].split(), strict=True)]
    if how == "bytes" and any(apart):
        far = _far(old["norms"], new["norms"], SAME) or "norms are equal in six digits"
        yield f"{place}: {sum(apart)} of {len(apart)} tensors have other bytes; {far}"
    elif far := "" if how == "bytes" else _far(old["norms"], new["norms"], NEAR):
        yield f"{place}: of the norms of tensors {far}"


def wanted_sections(only: Sequence[str]) -> list[str]:
    """The sections to run; those that have a say in the wanted names."""
    if not only:
        return [name for name in SECTIONS if name not in OPTIONAL]
    known = [name for name in SECTIONS if any(one.split("/")[0] == name for one in only)]
    strange = [one for one in only if not any(_is_wanted(s, n, [one]) for s, n in all_steps())]
    if strange:
        raise SystemExit(f"no section or step is called {', '.join(strange)}")
    return known


def all_steps() -> list[tuple[str, str]]:
    """Section and name of every command."""
    return [(section, name) for section in SECTIONS for name in steps(section)]


def _is_wanted(section: str, step: str, only: Sequence[str]) -> bool:
    return not only or any(one == section or fnmatchcase(f"{section}/{step}", one) for one in only)


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        yield Path(folder).resolve()


def measure(only: Sequence[str], jobs: int, keep: Path | None) -> dict[str, Entry]:
    """Run the sections, so many at once."""

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    sections = wanted_sections(only)
    with _place(keep) as folder, ThreadPoolExecutor(jobs) as pool:
        found = pool.map(lambda name: run_section(name, folder, say), sections)
        return dict(zip(sections, found, strict=True))


def compare(record: Mapping[str, Any], made: Mapping[str, Entry], only: Sequence[str]) -> list[str]:
    """A line for each difference, under the name of its command."""
    here = machine()
    changed = [f"{k} {record['machine'].get(k)} is {v} here" for k, v in here.items()
               if record["machine"].get(k) != v]  # fmt: skip
    if changed:
        print(f"not the machine of the record, bytes are not compared: {'; '.join(changed)}")
    lines = []
    for section, new in made.items():
        old = record["sections"].get(section, {"download": {}, "steps": {}})
        if old["download"] != new["download"]:
            lines.append(f"{section}: its images or tables are drawn otherwise than in the record")
        how: How = "floats" if changed else "bytes"
        for step in dict.fromkeys([*old["steps"], *new["steps"]]):
            files = old["steps"].get(step, {}).get("files", {})
            if changed and any(name.endswith(".safetensors") for name in files):
                how = "form"
            if not _is_wanted(section, step, only):
                continue
            one, two = old["steps"].get(step), new["steps"].get(step)
            if one is None or two is None:
                lines.append(f"{section}/{step}: {'is new' if one is None else 'is gone'}")
                continue
            found = list(differences(one, two, how))
            if found:
                lines += [f"{section}/{step}", *(f"    {line}" for line in found)]
    return lines


def updated(record: Mapping[str, Any], made: Mapping[str, Entry], only: Sequence[str]) -> Entry:
    """The record with what was made in the place of what was there."""
    sections = dict(record.get("sections", {}))
    for section, new in made.items():
        old = sections.get(section, {"steps": {}, "names": {}})
        kept = {
            step: new["steps"][step]
            if _is_wanted(section, step, only) or step not in old["steps"]
            else old["steps"][step]
            for step in new["steps"]
        }
        sections[section] = {**new, "steps": kept, "names": {**old["names"], **new["names"]}}
    order = [name for name in SECTIONS if name in sections]
    return {"machine": machine(), "sections": {name: sections[name] for name in order}}


def main() -> int:
    """Record or compare, as the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--jobs", type=int, default=2, help="sections at once [default: 2]")
    parser.add_argument("--keep", type=Path, help="a new folder where what was made stays")
    asked = parser.parse_args()
    started = time.perf_counter()
    made = measure(asked.only, asked.jobs, asked.keep)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    count = sum(len(one["steps"]) for one in made.values())
    if asked.what == "record":
        text = json.dumps(updated(record, made, asked.only), indent=1, ensure_ascii=False)
        RECORD.write_text(text + "\n", encoding="utf-8")
        print(f"{RECORD.name}: {count} commands, {time.perf_counter() - started:.0f} s")
        return 0
    lines = compare(record, made, asked.only)
    print("\n".join(lines) if lines else "nothing differs")
    print(f"{count} commands, {time.perf_counter() - started:.0f} s")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

"""The house of ARCHITECTURE.md, held by walking the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOOR = {
    "errors": 0, "memory": 0, "registry": 0, "assignments": 0, "machine": 0,
    "torch_imports": 0, "options": 0, "__init__": 0,
    "tables": 1, "provenance": 1, "competition": 1, "detection": 1, "samples": 1, "runs": 1,
    "facts": 1, "patterns": 1, "folders": 1, "image_paths": 1, "classes": 1, "labels": 1,
    "label_matrix": 1, "findings": 1, "outputs": 1, "holding": 1, "predictions": 1,
    "prediction_frames": 1, "prediction_arrays": 1,
    "decisions": 2, "evaluation": 2, "submission": 2, "simulation": 2, "tracking": 2,
    "models": 3, "losses": 3, "data": 3,
    "training": 4, "inference": 4, "inspection": 4, "profiling": 4,
    "__main__": 5,
}  # fmt: skip
HEAVY = {"torch", "torchvision", "timm", "albumentations", "sklearn"}
# These commands never need a network, so they must never wait for torch.
LIGHT_ROOMS = {room for room, floor in FLOOR.items() if floor <= 2} | {"inspection"}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base"}


def modules() -> list[Path]:
    return sorted((ROOT / "comptool").rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT / "comptool").parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = room(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "comptool" or len(parts) < 2 or parts[1] == "__version__":
            continue
        other = parts[1]
        assert other in FLOOR, f"{path} imports {name}, which stands on no floor"
        assert FLOOR[other] <= FLOOR[own], f"{path} ({own}) imports {name} from a higher floor"


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if room(path) in LIGHT_ROOMS],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_light_rooms_import_nothing_heavy(path):
    assert not {name.split(".")[0] for name in imported(path)} & HEAVY


def test_no_room_is_called_after_nothing():
    names = {path.stem for path in [*modules(), *(ROOT / "commands").glob("*.py")]}
    assert not names & FORBIDDEN_NAMES


def test_every_package_is_listed_in_pyproject():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {"comptool", "comptool.commands"}
    found |= {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "comptool").rglob("__init__.py")
    }
    assert sorted(listed) == sorted(found)


@pytest.mark.parametrize(
    "command",
    ["", "init", "inspect", "split", "train", "prior", "infer", "tta", "pseudolabel", "recalibrate",
     "ensemble", "submit", "score", "review", "runs", "features", "profile", "simulate", "models",
     "losses"],
)  # fmt: skip
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys; from importlib import import_module\n"
        "app = import_module('comptool.commands.app').app\n"
        "try: app(sys.argv[1:], prog_name='comptool')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = 'torch timm albumentations sklearn pandas polars numpy cv2'.split()\n"
        "found = set(heavy) & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    arguments = [command, "--help"] if command else ["--help"]
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "Usage: comptool" in run.stdout


def test_a_first_look_never_waits_for_torch():
    # Its room stands on one that has torch in some files: none of these may be among its own.
    code = (
        "import sys; import comptool.inspection.report\n"
        f"sys.exit(', '.join(set(sys.modules) & {HEAVY}) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

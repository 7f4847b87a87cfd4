"""The layout of ARCHITECTURE.md, checked by reading the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Packages from the lowest to the highest: an import points to an earlier one.
ORDER = [
    "errors", "machine", "limits", "registry", "options", "key_value", "lazy_torch", "device",
    "precision", "io", "tasks", "metrics", "competition", "practice", "losses", "models", "data",
    "postprocess", "submission", "label_review", "reports", "tracking", "splits", "inspection",
    "training", "inference", "profiling", "__init__", "__main__",
]  # fmt: skip
HEAVY = {"torch", "torchvision", "timm", "albumentations", "sklearn"}
# Commands that need no network never wait for torch.
LIGHT = {
    "errors", "machine", "limits", "registry", "options", "key_value", "lazy_torch", "io", "tasks",
    "competition", "practice", "metrics", "submission", "postprocess", "label_review",
    "reports", "tracking", "splits", "inspection",
}  # fmt: skip
SMALL = 150  # lines; a module of one importer that is shorter belongs into it


def modules() -> list[Path]:
    return sorted((ROOT / "comptool").rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT / "comptool").parts[0].removesuffix(".py")


@cache
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
        if parts[0] != "comptool" or len(parts) < 2 or parts[1] in ("__version__", own):
            continue
        assert ORDER.index(parts[1]) < ORDER.index(own), f"{path} imports {name}: not below {own}"


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if room(path) in LIGHT],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_light_packages_import_nothing_heavy(path):
    assert not {name.split(".")[0] for name in imported(path)} & HEAVY


def test_no_file_name_occurs_twice():
    names = Counter(path.stem for path in modules())
    twice = {name for name, count in names.items() if count > 1}
    assert twice <= {"__init__", "config"}


def test_no_class_name_occurs_twice():
    classes: dict[str, list[str]] = {}
    for path in [*modules(), *(ROOT / "commands").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in classes.items() if len(files) > 1} == {}


def test_a_small_module_has_more_than_one_importer_or_is_a_registry_target():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in modules()}
    sources = {path: path.read_text(encoding="utf-8") for path in modules()}
    sources |= {path: path.read_text(encoding="utf-8") for path in (ROOT / "commands").glob("*.py")}
    importers = {
        name: {path for path in sources if name in imported_modules(path)} for name in names
    }
    everything = "".join(sources.values())
    lonely = [
        name
        for name, path in names.items()
        if len(importers[name]) == 1
        and path.stem not in ("__init__", "config")
        and f'"{name}:' not in everything
        and sources[path].count("\n") < SMALL
    ]
    assert lonely == []


def imported_modules(path: Path) -> set[str]:
    names = imported(path)
    return names | {name.rpartition(".")[0] for name in names}


def test_only_the_registry_imports_our_code_by_its_name():
    allowed = {"registry.py", "__main__.py"}
    for path in modules():
        text = path.read_text(encoding="utf-8")
        assert path.name in allowed or 'import_module("comptool' not in text, path


def test_only_the_tasks_know_their_names():
    kinds = {"multiclass", "multilabel", "ordinal", "regression"}
    kinds |= {name.upper() for name in kinds}

    def names_one(node: ast.expr | None) -> bool:
        return (isinstance(node, ast.Constant) and node.value in kinds) or (
            isinstance(node, ast.Name) and node.id in kinds
        )

    for path in [*modules(), *(ROOT / "commands").glob("*.py")]:
        if path.parent.name == "tasks":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                parts = [node.left, *node.comparators]
            elif isinstance(node, ast.Dict):
                parts = node.keys
            elif isinstance(node, ast.Subscript):
                parts = [node.slice]
            else:
                continue
            assert not any(map(names_one, parts)), f"{path}:{node.lineno} asks which task it is"


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
     "ensemble", "submit", "score", "review", "runs", "features", "profile", "doctor", "simulate",
     "models", "losses"],
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
        "import sys; import comptool.inspection.inspecting\n"
        f"sys.exit(', '.join(set(sys.modules) & {HEAVY}) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

"""What an installed comptool consists of."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from comptool import __version__

ROOT = Path(__file__).parents[1]
SHIPPED = ("pyproject.toml", "README.md", "LICENSE", "comptool", "commands")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in SHIPPED:
        entry = ROOT / name
        copy = shutil.copytree if entry.is_dir() else shutil.copy
        copy(entry, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*pip, "-w", str(out), str(source)], check=True)
    return next(out.glob("*.whl"))


def test_the_wheel_puts_comptool_and_nothing_else_into_site_packages(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "comptool",
        f"comptool-{__version__}.dist-info",
    }
    for path in [*(ROOT / "comptool").rglob("*.py"), ROOT / "comptool" / "py.typed"]:
        assert path.relative_to(ROOT).as_posix() in names
    for path in (ROOT / "commands").glob("*.py"):
        assert f"comptool/commands/{path.name}" in names


def test_the_wheel_runs_by_both_names(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = "import comptool, sys; sys.exit(comptool.__file__)"
    # -P: the wheel is tested, not the checkout that the tests may be started in.
    run = [sys.executable, "-P"]
    options = {"cwd": tmp_path, "env": {"PYTHONPATH": str(site)}, "text": True}
    where = subprocess.run([*run, "-c", code], capture_output=True, **options)
    assert where.stderr.strip() == str(site / "comptool" / "__init__.py")
    version = subprocess.run([*run, "-m", "comptool", "--version"], capture_output=True, **options)
    assert version.stdout == f"comptool {__version__}\n"
    entry = "from comptool.commands.program import main; main()"
    script = subprocess.run([*run, "-c", entry, "--version"], capture_output=True, **options)
    assert script.stdout == f"comptool {__version__}\n"


def test_the_licence_and_the_console_script_are_declared(wheel):
    archive = zipfile.ZipFile(wheel)
    folder = f"comptool-{__version__}.dist-info"
    assert "License-Expression: Apache-2.0" in archive.read(f"{folder}/METADATA").decode()
    scripts = archive.read(f"{folder}/entry_points.txt").decode()
    assert "comptool = comptool.commands.program:main" in scripts

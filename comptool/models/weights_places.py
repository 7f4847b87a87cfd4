"""Where weights files lie on this machine: in installed packages and in folders."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from comptool.errors import UsageError, quoted

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pth.tar", ".pt.tar")
FOLDER = "COMPTOOL_WEIGHTS"
PACKAGE = "package:"
POLICIES = ("auto", "yes", "no")


def package_file(text: str) -> Path:
    """The weights file of an installed package: ``package:NAME`` or ``package:NAME/FILE``.

    The package is not imported. Raises a UsageError if it is not installed or has no such file, or
    several and none is named.
    """
    name, _, wanted = text.removeprefix(PACKAGE).partition("/")
    try:
        spec = find_spec(name) if name.isidentifier() else None
    except ValueError:  # a module without one, such as __main__
        spec = None
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    if not folders:
        raise UsageError(
            f"--pretrained {text}: no package '{name}' is installed. Run 'pip install {name}'"
        )
    files = {
        path.relative_to(folder).as_posix(): path
        for folder in folders
        for path in _weights_below(folder)
    }
    if wanted in files:
        return files[wanted]
    if len(files) == 1 and not wanted:
        return next(iter(files.values()))
    if not files:
        raise UsageError(f"--pretrained {text}: the package has no weights file")
    raise UsageError(
        f"--pretrained {text}: name one of its files, {PACKAGE}{name}/FILE: {quoted([*files])}"
    )


def folder_file(names: list[str]) -> Path | None:
    """The file for a model in the folders of ``$COMPTOOL_WEIGHTS``; None if there is none.

    ``names`` are those of the model, the most exact first. A file fits that is named so, or lies in
    a folder that is, as ``resnet18.a1_in1k.safetensors`` or ``resnet18/pytorch_model.bin``; of
    several the one nearest to the top. The folders are only read.

    Raises
    ------
    UsageError
        If a folder does not exist.
    """
    folders = [Path(folder) for folder in os.environ.get(FOLDER, "").split(os.pathsep) if folder]
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{FOLDER} names a folder that does not exist: {folder}")
    files = [path for folder in folders for path in _weights_below(folder)]
    for name in names:
        for path in files:
            if name.lower() in (_stem(path), path.parent.name.lower()):
                return path
    return None


def _weights_below(folder: Path) -> list[Path]:
    found = [
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(SUFFIXES) and path.is_file()
    ]
    return sorted(found, key=lambda path: (len(path.parts), path.suffix != ".safetensors", path))


def _stem(path: Path) -> str:
    name = path.name.lower()
    return next(name.removesuffix(end) for end in SUFFIXES if name.endswith(end))

"""``comptool models``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from comptool import models

HEADS = [f"+{name}" for name in models.HEADS.names]


def test_each_model_is_one_line_with_what_it_is_and_its_source(comptool):
    result = comptool("models")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*models.names(), *HEADS]
    assert lines[0] == (
        "mobilenetv2                MobileNetV2 of width 1.0, 1280 features; timm's "
        "mobilenetv2_100. "
        "[Sandler et al. 2018, arXiv:1801.04381]"
    )
    assert result.stderr == (
        "any backbone of timm works too; find one with: comptool models PATTERN\n"
    )


def test_the_same_as_json(comptool):
    result = comptool("models", "--json", "--quiet")
    listed = json.loads(result.stdout)
    assert [row["name"] for row in listed["models"]] == models.names()
    assert [row["name"] for row in listed["heads"]] == HEADS
    assert all(set(row) == {"name", "summary", "source"} for row in listed["models"])
    assert result.stderr == ""


def test_a_pattern_finds_timms_backbones_after_ours(comptool):
    result = comptool("models", "mobilenetv2_1", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["models"][:1] == [
        {
            "name": "mobilenetv2_100",
            "summary": "Published weights: ra_in1k.",
            "source": "timm",
        }
    ]
    assert result.stderr == "reading timm's names\n"
    both = comptool("models", "resnet34*").stdout.splitlines()
    assert [line.split()[0] for line in both] == ["resnet34", "resnet34-dual", "resnet34d"]


def test_a_pattern_for_two_streams_finds_names_for_two_streams(comptool):
    lines = comptool("models", "resnet34*-dual").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["resnet34-dual", "resnet34d-dual"]
    assert all(models.parse_name(line.split()[0]).streams == 2 for line in lines)


def test_a_pattern_that_nothing_matches_names_the_nearest(comptool):
    result = comptool("models", "mobilnetv2-dual", "-q")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "comptool models: no model is called 'mobilnetv2-dual'; "
        "did you mean 'mobilenetv2-dual', 'mobilenetv2' or 'resnet34-dual'?\n"
    )


@pytest.mark.parametrize("command", ["models", "losses"])
def test_listing_imports_nothing_heavy(command):
    code = (
        "import sys; from importlib import import_module\n"
        "app = import_module('comptool.commands.app').app\n"
        "try: app([sys.argv[1]], prog_name='comptool')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not set('torch timm numpy pandas polars'.split()) & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

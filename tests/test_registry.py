"""Every entry of the registries loads, and a repeated name is refused."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from comptool.errors import InputError, UsageError, UserFunctionError
from comptool.losses import LOSSES
from comptool.models import BACKBONES, HEADS
from comptool.registry import PLUGINS, Entry, Registry, load_user_object, refuse_unknown_options

TABLES = (BACKBONES, HEADS, LOSSES)
ENTRIES = [(table.kind, entry) for table in TABLES for entry in table]


def target_with_options(path, *, required, gamma=2.0, mode="plain"):
    """Stands for a builder."""
    return path, required, gamma, mode


def entry(name):
    return Entry(name, "tests.test_registry:target_with_options", "A summary.", "a source")


@pytest.mark.parametrize(
    ("kind", "entry"), ENTRIES, ids=lambda value: getattr(value, "name", value)
)
def test_every_entry_loads(kind, entry):
    target = entry.load()
    assert callable(target)
    assert inspect.getdoc(target), f"the {kind} {entry.name} says nothing about itself"
    assert entry.options(), f"the {kind} {entry.name} has no option"


@pytest.mark.parametrize(
    ("kind", "entry"), ENTRIES, ids=lambda value: getattr(value, "name", value)
)
def test_every_entry_says_what_it_is_and_whence(kind, entry):
    assert entry.summary.endswith(".")
    assert "\n" not in entry.summary + entry.source
    assert entry.source


def test_a_repeated_name_is_refused():
    with pytest.raises(ValueError, match="two loss entries are called 'ce'"):
        Registry("loss", entry("ce"), entry("focal"), entry("ce"))


def test_a_name_with_capitals_is_refused():
    with pytest.raises(ValueError, match="loss name 'CE' has capital letters"):
        Registry("loss", entry("CE"))


def test_entries_keep_the_order_of_the_table():
    table = Registry("loss", entry("b"), entry("a"))
    assert table.names == ["b", "a"]
    assert [row.name for row in table] == ["b", "a"]
    assert ("b" in table, "c" in table, len(table)) == (True, False, 2)


def test_an_unknown_name_shows_the_three_nearest():
    table = Registry("loss", *map(entry, ["focal", "poly", "local", "vocal"]))
    with pytest.raises(UsageError) as error:
        table.find("focla")
    assert str(error.value) == (
        "no loss is called 'focla'; did you mean 'focal', 'vocal' or 'local'?"
    )


def test_options_are_the_keyword_parameters_with_a_default(monkeypatch):
    monkeypatch.setitem(sys.modules, "tests.test_registry", sys.modules[__name__])
    assert entry("x").options() == {"gamma": 2.0, "mode": "plain"}


def test_the_names_of_options_are_read_from_the_source_alone():
    code = (
        "import sys; from comptool.losses import LOSSES\n"
        "print(*LOSSES.find('focal').option_names()); assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "gamma smoothing class_weights reduction\n", run.stderr
    for loss in LOSSES:
        assert loss.option_names() == list(loss.options()), loss.name


def test_an_unknown_option_names_the_known_ones():
    refuse_unknown_options("the loss 'x'", ["gamma"], ["gamma", "mode"])
    with pytest.raises(UsageError) as error:
        refuse_unknown_options("the loss 'x'", ["gamma", "gama"], ["gamma", "mode"])
    assert str(error.value) == "the loss 'x' takes no 'gama'; it takes 'gamma', 'mode'"
    with pytest.raises(UsageError, match="the loss 'x' takes no 'gama'; it takes no options"):
        refuse_unknown_options("the loss 'x'", ["gama"], [])


def test_the_tables_import_nothing_heavy():
    code = (
        "import sys, comptool.models, comptool.losses\n"
        "comptool.models.listing('x'), comptool.models.parse_name('resnet34-dual+linear')\n"
        "comptool.losses.names()\n"
        "assert not {'torch', 'timm', 'numpy', 'pandas'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_an_object_of_a_users_file_is_loaded_once(tmp_path):
    path = tmp_path / "mine.py"
    (tmp_path / "neighbour_of_mine.py").write_text("FACTOR = 3\n")
    path.write_text("import neighbour_of_mine as n\ndef score(x):\n    return n.FACTOR * x\n")
    found = load_user_object(f"{path}:score", "metric")
    assert found(2) == 6
    assert load_user_object(f"{path}:score", "metric") is found


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("gone.py:score", InputError, "gone.py: this file of a metric does not exist"),
        ("mine.py:scores", UsageError, "no metric is called 'scores'; did you mean 'score'"),
        ("mine.py:", UsageError, "the metric 'mine.py:' has to be FILE.py:name"),
        ("mine.txt:score", UsageError, "has to be FILE.py:name"),
        ("mine.py:LIMIT", UsageError, "is of the type int and cannot be called"),
        ("broken.py:score", InputError, r"broken.py: cannot be imported \(SyntaxError: "),
        ("exits.py:score", UserFunctionError, "^exits.py called sys.exit$"),
        ("failing.py:score", InputError, r"cannot be imported \(ZeroDivisionError: "),
    ],
)
def test_an_object_of_a_users_file_that_cannot_be_used_is_refused(
    tmp_path, monkeypatch, spec, error, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("LIMIT = 1\ndef score(x):\n    return x\n")
    (tmp_path / "broken.py").write_text("def score(:\n")
    (tmp_path / "failing.py").write_text("1 / 0\n")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(error, match=message):
        load_user_object(spec, "metric")


def test_a_plugin_is_found_by_its_name_and_its_kind(monkeypatch):
    points = [
        EntryPoint("loss.mine", "tests.test_registry:target_with_options", PLUGINS),
        EntryPoint("metric.other", "gone:gone", PLUGINS),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    monkeypatch.setitem(sys.modules, "tests.test_registry", sys.modules[__name__])
    assert [plugin.name for plugin in LOSSES.plugins()] == ["mine"]
    found = LOSSES.find("mine")
    assert isinstance(found, type(LOSSES.find("ce")))
    assert found.load() is target_with_options
    with pytest.raises(UsageError, match="no loss is called 'mined'; did you mean 'mine'"):
        LOSSES.find("mined")


def test_an_object_of_a_users_file_is_an_entry_with_the_usual_properties(tmp_path):
    (tmp_path / "own.py").write_text("def make(size=3, *, depth: int = 2):\n    return size\n")
    found = Registry("thing", entry("a")).find(f"{tmp_path / 'own.py'}:make")
    assert found.is_users
    assert found.options() == {"size": 3, "depth": 2}
    assert found.option_names() == ["size", "depth"]
    assert found.types() == {"size": int, "depth": int}

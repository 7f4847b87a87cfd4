"""comptool.toml, the environment and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.competition import config, schema
from comptool.competition.config import Competition
from comptool.errors import InputError, OutputExistsError, UsageError

TOML = """
task = "multiclass"
metric = "macro-f1"
[data]
train = "train.csv"
sample-submission = "sample.csv"
id = "image_id"
label = "class_id"
group = "scene"
[modalities]
sar = "sar_path"
eo = "EO_{id}.png"
"""


@pytest.fixture
def download(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "comptool.toml").write_text(TOML)
    for name in ("train.csv", "sample.csv"):
        (tmp_path / name).write_text("image_id,class_id\n1,a\n")
    return tmp_path


def test_the_file_says_everything_and_nothing_is_detected(download):
    found = config.load()
    assert found == Competition(
        name=download.name,
        task="multiclass",
        metric="macro-f1",
        folder=Path(),
        train=Path("train.csv"),
        sample_submission=Path("sample.csv"),
        id="image_id",
        label="class_id",
        group="scene",
        modalities={"sar": "sar_path", "eo": "EO_{id}.png"},
    )
    assert list(found.modalities) == ["sar", "eo"]


def test_a_variable_wins_over_the_file(download, monkeypatch):
    monkeypatch.setenv("COMPTOOL_METRIC", "kappa")
    monkeypatch.setenv("COMPTOOL_MODALITIES", "rgb = path, nir={id}.tif")
    found = config.load()
    assert found.metric == "kappa"
    assert found.modalities == {"rgb": "path", "nir": "{id}.tif"}
    assert found.label == "class_id"


def test_a_file_elsewhere_is_relative_to_itself(download, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    found = config.load(download / "comptool.toml")
    assert found.train == download / "train.csv"


def test_what_the_file_leaves_out_is_detected(download):
    (download / "a.png").touch()
    (download / "train.csv").write_text("key,path,y\n1,a.png,x\n2,a.png,y\n")
    (download / "comptool.toml").write_text('metric = "kappa"\n[data]\ntrain = "train.csv"\n')
    found = config.load()
    assert (found.metric, found.id, found.label) == ("kappa", "key", "y")
    assert "id column: key (all values differ)" in found.findings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('tsak = "multiclass"', "no key is called 'tsak'; did you mean 'task', "),
        ('[data]\nlable = "y"', "no key is called 'lable'; did you mean 'label', "),
        ('task = "ranking"', "'task' is 'ranking'; it can be multiclass, multilabel, ordinal, "),
        ("task = 3", "'task' is 3; it can be multiclass, multilabel, ordinal, regression"),
        (
            'metric = "acuracy"',
            "'metric' is wrong: no metric is called 'acuracy'; did you mean 'accuracy', ",
        ),
        ("[data]\nid = 7", "'id' is 7; a text is needed"),
        ("[data]\nid = ''", "'id' is ''; a text is needed"),
        ('[data]\nlabel = ["a"]', "'label' is ['a']; a list of at least two different texts"),
        ('[data]\nclasses = ["a", "a"]', "'classes' is ['a', 'a']; a list of at least two"),
        ("[modalities]", "'modalities' is {}; a table such as "),
        ("modalities = 1", "'modalities' is 1; a table such as "),
        ("[modalities]\nsar = 1", "'modalities' gives 'sar' as 1; a column or a pattern"),
        ("[modalities]\n'a b' = 'x'", "'modalities' holds the name 'a b'; a name has letters"),
        ("data = 1", "'data' is not a table; write [data] on its own line"),
        ('name = "../x"', "'name' is '../x'; it becomes a file name"),
        ("task = ", "is not readable as TOML ("),
    ],
)
def test_a_wrong_file_is_refused_by_key_and_value(download, text, message):
    (download / "comptool.toml").write_text(text)
    with pytest.raises(InputError) as error:
        config.load()
    assert str(error.value).startswith(f"comptool.toml: {message}")


def test_a_wrong_variable_is_refused_by_name(download, monkeypatch):
    monkeypatch.setenv("COMPTOOL_TASK", "ranking")
    with pytest.raises(UsageError) as error:
        config.load()
    assert (
        str(error.value)
        == "COMPTOOL_TASK is 'ranking'; it can be multiclass, multilabel, ordinal, regression"
    )


def test_a_misspelt_variable_is_refused_with_the_nearest_names(download, monkeypatch):
    monkeypatch.setenv("COMPTOOL_REAL_DATA", "anything")
    assert config.load().metric == "macro-f1"
    monkeypatch.setenv("COMPTOOL_METRICS", "kappa")
    with pytest.raises(UsageError) as error:
        config.load()
    assert str(error.value).startswith(
        "no environment variable is called 'COMPTOOL_METRICS'; did you mean 'COMPTOOL_METRIC', "
    )


@pytest.mark.parametrize("key", schema.PATH_KEYS)
def test_a_file_that_is_not_there_is_named(download, key):
    lines = [line for line in TOML.splitlines() if not line.startswith(f"{key} ")]
    lines.insert(lines.index("[data]") + 1, f'{key} = "gone.csv"')
    (download / "comptool.toml").write_text("\n".join(lines))
    with pytest.raises(InputError) as error:
        config.load()
    assert str(error.value) == (
        f"gone.csv: there is no such file or folder. Correct '{key}' in comptool.toml "
        "(or its option or variable)"
    )


def test_a_toml_that_is_not_there_is_named(download):
    with pytest.raises(InputError) as error:
        config.load(Path("other.toml"))
    assert str(error.value) == "other.toml: there is no such file. Run 'comptool init'"


def test_several_label_columns_need_the_task_multilabel(download):
    text = TOML.replace('label = "class_id"', 'label = ["a", "b"]')
    (download / "comptool.toml").write_text(text)
    with pytest.raises(InputError, match="the label is 2 columns and the task is multiclass"):
        config.load()
    (download / "comptool.toml").write_text(text.replace("multiclass", "multilabel"))
    found = config.load()
    assert (found.label, found.labels) == ("", ("a", "b"))


texts = st.text(min_size=1).filter(lambda text: text.strip() and "\x00" not in text)
# A bar stands between the channels of one image.
sources = texts.filter(lambda text: "|" not in text)


@given(
    id_column=texts,
    label=texts,
    name=st.from_regex(r"[a-z][a-z0-9 -]*", fullmatch=True),
    modalities=st.dictionaries(st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True), sources,
                               min_size=1, max_size=3),
    classes=st.none() | st.lists(texts, min_size=2, max_size=4, unique=True).map(tuple),
)  # fmt: skip
def test_what_is_dumped_is_loaded_again(
    tmp_path_factory, id_column, label, name, modalities, classes
):
    folder = tmp_path_factory.mktemp("dump")
    (folder / "data").mkdir()
    (folder / "data" / "train.csv").touch()
    written = Competition(
        name=name, task="multiclass", metric="auc", folder=folder / "data",
        train=folder / "data" / "train.csv", id=id_column, label=label,
        modalities=modalities, classes=classes,
    )  # fmt: skip
    config.dump(written, folder / "comptool.toml")
    assert config.load(folder / "comptool.toml") == written


def test_a_multilabel_competition_survives_a_dump(tmp_path):
    (tmp_path / "train.csv").touch()
    written = Competition(
        name="x", task="multilabel", metric="map", folder=tmp_path, train=tmp_path / "train.csv",
        label="", labels=("a", "b c"), modalities={"image": "path"}, group="scene",
    )  # fmt: skip
    config.dump(written, tmp_path / "comptool.toml")
    assert config.load(tmp_path / "comptool.toml") == replace(written, folder=tmp_path)


def test_a_dump_replaces_nothing_unasked(download):
    found = config.load()
    with pytest.raises(OutputExistsError):
        config.dump(found, Path("comptool.toml"))
    assert Path("comptool.toml").read_text() == TOML

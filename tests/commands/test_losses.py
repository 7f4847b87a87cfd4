"""``comptool losses``."""

from __future__ import annotations

import json

from comptool import losses


def test_each_loss_is_one_line_with_what_it_is_and_its_source(comptool):
    result = comptool("losses")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == losses.names()
    assert lines[1].split(maxsplit=1) == [
        "focal",
        "Cross-entropy, smoothed by 0.1, with less weight for well classified samples. "
        "[Lin et al. 2017, arXiv:1708.02002, equation 4, in its softmax form]",
    ]
    # The summaries stand below one another.
    assert len({line.index(e.summary) for line, e in zip(lines, losses.LOSSES, strict=True)}) == 1


def test_the_same_as_json(comptool):
    listed = json.loads(comptool("losses", "--json").stdout)["losses"]
    assert listed == [
        {"name": entry.name, "summary": entry.summary, "source": entry.source}
        for entry in losses.LOSSES
    ]


def test_a_loss_by_name_lists_its_options(comptool):
    result = comptool("losses", "asl")
    assert result.stdout.splitlines() == [
        "gamma_neg=4.0", "gamma_pos=1.0", "clip=0.05", "smoothing=0.0", "reduction=batchmean"
    ]  # fmt: skip
    options = json.loads(comptool("losses", "sigmoid-focal", "--json").stdout)
    assert options == {"gamma": 2.0, "alpha": 0.25, "smoothing": 0.0, "reduction": "mean"}
    assert "prior=" not in comptool("losses", "partial-asl").stdout


def test_a_loss_that_there_is_not_is_told(comptool):
    result = comptool("losses", "alsl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("comptool losses: no loss is called 'alsl'; did you mean 'asl'")

"""``comptool recalibrate`` by quotas that do not fit the rows: it says so."""

from __future__ import annotations


def warnings(result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("warning: ")]


def test_quotas_that_cannot_all_be_met_are_said(comptool, predictions):
    source = predictions()
    result = comptool("recalibrate", source, "--head-classes", "sedan,bus", "--fraction", 0.75)
    assert result.exit_code == 0
    assert warnings(result) == [
        "warning: the quotas cannot all be met: 2 head classes of 3 rows need 6 rows, but there "
        "are 4; the last classes get fewer"
    ]


def test_a_quota_below_one_row_is_said(comptool, predictions):
    result = comptool("recalibrate", predictions(), "--head-classes", "sedan")
    assert warnings(result) == [
        "warning: the quota of 4 rows is less than one row: no row gets a head class"
    ]


def test_rows_left_over_when_every_class_is_head_are_said(comptool, predictions):
    result = comptool(
        "recalibrate", predictions(), "--head-classes", "sedan,bus,van", "--fraction", 0.25
    )
    assert warnings(result) == [
        "warning: every class is a head class: the 1 rows beyond the quotas take their "
        "most probable class"
    ]


def test_a_class_that_swallows_more_than_its_share_is_said(comptool, predictions):
    rows = "".join(f"{row},0.5,0.4,0.05,0.05\n" for row in range(40))
    source = predictions(text="id,a,b,c,d\n" + rows)
    result = comptool("recalibrate", source, "--head-classes", "a", "--fraction", 0.25)
    assert warnings(result) == ["warning: class 'b' takes 30 rows, 3.0 times its share of 10"]

"""Figures: the same bytes each time, for whatever data there are."""

import dataclasses

import matplotlib as mpl
import pytest

from fw_nnp.report.figures import FIGURES, save_figures
from fw_nnp.report.naming import number
from fw_nnp.report.style import INK, inline_svg, png_bytes


def test_every_figure_is_written(evaluation, tmp_path):
    paths = save_figures(evaluation, tmp_path / "figures")
    assert [path.stem for path in paths] == list(FIGURES)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


@pytest.mark.parametrize("name", ["pool", "elastic"])
def test_figures_are_deterministic(evaluation, name):
    first, second = (FIGURES[name](evaluation) for _ in range(2))
    assert png_bytes(first) == png_bytes(second)
    assert inline_svg(first, name) == inline_svg(second, name)


def test_inline_figures_follow_the_page(evaluation):
    svg = inline_svg(FIGURES["elastic"](evaluation), "elastic")
    assert svg.startswith("<svg")
    assert INK not in svg
    assert "currentColor" in svg
    assert 'id="figure_1"' not in svg


def test_names_with_dollar_signs_are_text(evaluation):
    hostile = dataclasses.replace(evaluation, empirical=r"$\frac{<b>$ & co")
    svg = inline_svg(FIGURES["elastic"](hostile), "elastic")
    assert r"$\frac{&lt;b&gt;$ &amp; co" in svg


def test_absent_data_give_no_figure(evaluation):
    bare = dataclasses.replace(evaluation, test_errors={}, properties={}, histories=(), pool=None)
    assert [draw(bare) for draw in FIGURES.values()] == [None] * len(FIGURES)


def test_a_label_set_without_stress_still_has_a_parity_figure(evaluation):
    stripped = {}
    for method, errors in evaluation.test_errors.items():
        overall = dataclasses.replace(errors.overall, stress_GPa=None)
        by_phase = {p: dataclasses.replace(s, stress_GPa=None) for p, s in errors.by_phase.items()}
        parity = {key: p for key, p in errors.parity.items() if key != "stress"}
        stripped[method] = dataclasses.replace(
            errors, overall=overall, by_phase=by_phase, parity=parity
        )
    bare = dataclasses.replace(evaluation, test_errors=stripped)
    assert len(FIGURES["parity"](bare).axes) == 4
    assert png_bytes(FIGURES["phases"](bare)).startswith(b"\x89PNG")
    assert png_bytes(FIGURES["learning"](bare)).startswith(b"\x89PNG")


def test_drawing_leaves_the_settings_of_matplotlib_alone(evaluation):
    with mpl.rc_context({"font.size": 31.0}):
        FIGURES["phases"](evaluation)
        assert mpl.rcParams["font.size"] == 31.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(38.04, "38.0"), (164.2, "164"), (0.0893, "0.0893"), (1234.5, "1234"), (0, "0")],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text

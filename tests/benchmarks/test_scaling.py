"""What the scaling benchmark reads off its curves, and that it draws what it measured."""

from __future__ import annotations

import pytest
import scaling
from matplotlib.figure import Figure
from speed.cells import make_cells


def curve(power: float) -> list[dict[str, float]]:
    """Time that grows like atoms^power, but for a fixed start-up of small sizes."""
    return [
        {
            "atoms": atoms,
            "neighbours": atoms / 100,
            "core_seconds": 1e-6 * max(atoms, 500) ** power,
            "core_us_per_atom": 1.0,
        }
        for atoms in (108, 864, 4000, 32000)
    ]


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("x", ["atoms", "neighbours"])
def test_exponent_of_the_large_sizes(power, x):
    assert scaling.exponent(curve(power), x) == pytest.approx(power)
    few = curve(power)[:2]
    assert scaling.exponent(few, x) < power, "small ones count where there are no others"


def test_neighbours_of_fcc():
    """12 + 6 + 24 + 12 in four shells, whose order a rattling by 0.1 Å blurs at the cutoff."""
    cells = make_cells(108, count=1, batch_size=1)
    assert scaling.neighbours(cells) == pytest.approx(54, abs=3)


def test_the_whole_command(tmp_path, capsys):
    sizes = ["--atoms", "32", "108", "--cutoffs", "4", "5", "--threads", "1", "--rounds", "1"]
    document = scaling.main([*sizes, "--figure", str(tmp_path / "scaling.png")])
    shown = capsys.readouterr().out
    for task in scaling.TASKS:
        assert f"{task}: time ~ atoms^" in shown
        assert [point["atoms"] for point in document["atoms"][task]] == [32, 108]
        few, many = (point["neighbours"] for point in document["neighbours"][task])
        assert few < many
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_the_figure_shows_the_points():
    curves = {task: curve(1.0) for task in scaling.TASKS}
    figure = scaling.draw({"atoms": curves, "neighbours": curves})
    assert isinstance(figure, Figure)
    left, right = figure.axes
    assert [1e3 * p["core_seconds"] for p in curve(1.0)] == pytest.approx(
        list(left.lines[0].get_ydata())
    )
    assert [p["neighbours"] for p in curve(1.0)] == pytest.approx(list(right.lines[1].get_xdata()))

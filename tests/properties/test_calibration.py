"""Uncertainties that are right, too small, or missing."""

from __future__ import annotations

import numpy as np
import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import Configuration, Label, LabelledConfiguration
from fw_nnp.properties.calibration import calibration
from fw_nnp.report.calibration import calibration_figure
from fw_nnp.report.style import png_bytes

MEMBERS = 400  # so many that their spread is the width they were drawn with


def drawn(bias: float):
    """Cells whose members scatter by 0.01 to 1 eV/Å, about the truth plus `bias` times that."""
    rng = np.random.default_rng(0)
    reference, members = [], []
    for width in np.geomspace(0.01, 1.0, 60):
        cell = Configuration(
            cell=4.0 * np.eye(3), positions=rng.uniform(0.0, 4.0, (8, 3)), numbers=np.full(8, 13)
        )
        off = bias * width * rng.normal(size=(8, 3))

        def label(forces, cell=cell, width=width):
            return Label(
                configuration_id=cell.id,
                theory_id="thy-x",
                energy=width,
                forces=forces,
                stress=None,
            )

        truth = label(np.zeros((8, 3)))
        reference.append(LabelledConfiguration(configuration=cell, label=truth))
        members.append([label(off + width * rng.normal(size=(8, 3))) for _ in range(MEMBERS)])
    return reference, members


@pytest.mark.parametrize("bias", [1.0, 3.0])
def test_the_factor_is_how_much_too_small_the_spread_is(bias):
    found = calibration(*drawn(bias))["force_meV_A"]
    assert found.factor == pytest.approx(bias, rel=0.1)
    ratios = np.array(found.error) / np.array(found.spread)
    np.testing.assert_allclose(ratios, bias, rtol=0.25)
    assert found.spread[-1] > 30 * found.spread[0]
    assert found.rank_correlation > 0.7


def test_absent_labels_are_left_out_and_a_figure_is_drawn():
    found = calibration(*drawn(1.0))
    assert set(found) == {"energy_meV_atom", "force_meV_A"}
    picture = png_bytes(calibration_figure({"force_meV_A": found["force_meV_A"]}))
    assert picture.startswith(b"\x89PNG")


def test_one_member_has_no_spread():
    reference, members = drawn(1.0)
    with pytest.raises(SpecError, match="members"):
        calibration(reference, [labels[:1] for labels in members])

"""Translation to another metal: distances scale, everything else stays."""

from __future__ import annotations

import numpy as np
import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.core.parsing import parse
from fw_nnp.core.records import Configuration, Frame
from fw_nnp.core.specs import TranslationSpec
from fw_nnp.sampling import tag, translate

from .conftest import EMT, gas, noisy

DATA = {
    "elements": {"Al": "Ni"},
    "lattice_constants": {"Al": 4.05, "Ni": 3.52},
    "potential": EMT.model_dump(),
}
SPEC = parse(TranslationSpec, DATA, place="test")


def frame(configuration: Configuration) -> Frame:
    return Frame(
        configuration=configuration, trajectory="trj-a", sampler="melt_quench", step=7, phase="x"
    )


def test_the_crystal_of_one_metal_becomes_that_of_the_other():
    found = translate([frame(noisy("fcc", 4.05, (2, 1, 1), 0.0))], SPEC)[0]
    expected = noisy("fcc", 3.52, (2, 1, 1), 0.0)
    np.testing.assert_allclose(found.configuration.cell, expected.cell, atol=1e-12)
    np.testing.assert_allclose(found.configuration.positions, expected.positions, atol=1e-12)
    assert found.configuration.elements == ["Ni"]


def test_the_frame_remembers_where_it_comes_from():
    found = translate([frame(noisy("fcc", 4.05, (1, 1, 1), 0.1))], SPEC)[0]
    assert (found.trajectory, found.step, found.phase) == ("trj-a", 7, "x")
    assert found.sampler == "melt_quench:Al>Ni"


def test_the_phase_does_not_feel_the_translation():
    frames = [frame(noisy("fcc", 4.05, (2, 2, 2), 0.25)), frame(gas(32))]
    before = tag([x.configuration for x in frames])
    after = tag([x.configuration for x in translate(frames, SPEC)])
    assert [x.phase for x in after] == [x.phase for x in before]


def test_an_alloy_scales_by_the_mean_over_its_atoms():
    data = {
        **DATA,
        "elements": {"Al": "Ni", "Cu": "Cu"},
        "lattice_constants": {"Al": 4.0, "Ni": 3.0, "Cu": 3.6},
    }
    start = noisy("fcc", 4.0, (1, 1, 1), 0.0)
    mixed = Configuration(cell=start.cell, positions=start.positions, numbers=[13, 13, 29, 29])
    found = translate([frame(mixed)], parse(TranslationSpec, data, place="test"))[0]
    assert found.configuration.cell[0, 0] == pytest.approx(4.0 * (0.75 + 1.0) / 2)
    assert found.configuration.symbols == ["Ni", "Ni", "Cu", "Cu"]


def test_what_has_no_target_is_refused():
    copper = Configuration(cell=4 * np.eye(3), positions=np.zeros((1, 3)), numbers=[29])
    with pytest.raises(SpecError, match="no target for Cu"):
        translate([frame(copper)], SPEC)
    with pytest.raises(SpecError, match="no lattice constant of Ni"):
        parse(TranslationSpec, {**DATA, "lattice_constants": {"Al": 4.05}}, place="test")

"""The same path through LAMMPS, against constants computed elsewhere from the same potentials."""

from pathlib import Path

import pytest

from fw_nnp.core.specs import EvaluateSpec, PotentialSpec
from fw_nnp.potentials import make_potential
from fw_nnp.properties.elastic import cubic_properties


@pytest.mark.engines
@pytest.mark.parametrize(
    ("file", "style", "crystal", "element", "expected"),
    [
        ("Al_mm.eam.fs", "eam/fs", "fcc", "Al", (4.0453, 110.2, 61.4, 32.7)),
        ("Cu_mishin1.eam.alloy", "eam/alloy", "fcc", "Cu", (3.6149, 170.0, 122.7, 76.2)),
        ("NiAlH_jea.eam.alloy", "eam/alloy", "fcc", "Ni", (3.5200, 246.8, 147.6, 125.0)),
        ("Fe_mm.eam.fs", "eam/fs", "bcc", "Fe", (2.8553, 243.4, 145.1, 116.0)),
        ("W_zhou.eam.alloy", "eam/alloy", "bcc", "W", (3.1648, 522.5, 204.2, 160.8)),
    ],
)
def test_constants_of_published_potentials(
    lmp, programs, tmp_path, file, style, crystal, element, expected
):
    spec = PotentialSpec(style=style, file=file, elements=[element])
    potential = make_potential(
        spec, lmp=lmp, base=Path(), potentials_dir=programs.require_potentials()
    )
    guess = EvaluateSpec(
        crystal=crystal, element=element, lattice_constant=1.005 * expected[0], strain=0.002
    )
    found = cubic_properties(lambda cells: potential.label(cells, tmp_path), guess)
    assert found.a0 == pytest.approx(expected[0], abs=3e-4)
    assert (found.c11, found.c12, found.c44) == pytest.approx(expected[1:], rel=0.01)
    assert found.bulk_modulus == pytest.approx((found.c11 + 2 * found.c12) / 3, rel=0.02)

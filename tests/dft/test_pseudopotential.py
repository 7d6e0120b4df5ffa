"""The shipped aluminium: made again from its input, and against all-electron numbers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.eos import EquationOfState

from fw_nnp.core.units import GPA
from fw_nnp.dft import relabel
from fw_nnp.dft.theory import SHIPPED

from .test_espresso import fcc

pytestmark = pytest.mark.engines
NAME = "Al.pbe-fwnnp"


@pytest.fixture(scope="module")
def made(pw: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which ld1.x has run the shipped input."""
    directory = tmp_path_factory.mktemp("ld1")
    ld1 = [word.replace("pw.x", "ld1.x") for word in pw]
    with (SHIPPED / f"{NAME}.ld1").open() as stream:
        try:
            subprocess.run(ld1, stdin=stream, cwd=directory, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no ld1.x beside pw.x")
    return directory


def numbers(path: Path, tag: str) -> np.ndarray:
    text = re.search(rf"<{tag}\b[^>]*>(.*?)</{tag}>", path.read_text(), re.DOTALL)[1]
    return np.array([float(word) for word in text.split()])


@pytest.mark.parametrize("tag", ["PP_LOCAL", "PP_NLCC", "PP_BETA.1", "PP_BETA.2", "PP_RHOATOM"])
def test_the_shipped_file_is_what_its_input_gives(tag, made):
    again, shipped = (numbers(folder / f"{NAME}.UPF", tag) for folder in (made, SHIPPED))
    np.testing.assert_allclose(again, shipped, atol=1e-6)


def test_there_is_no_ghost_state(made):
    """Logarithmic derivatives at 3 bohr: as many poles as the true atom, at the same energies."""
    true, pseudo = (np.loadtxt(made / name) for name in ("Al.dlog", "Alps.dlog"))
    for column in (1, 2, 3):  # s, p, d
        poles = [table[1:, 0][np.diff(table[:, column]) > 2.0] for table in (true, pseudo)]
        assert len(poles[0]) == len(poles[1]) == 1
        np.testing.assert_allclose(poles[0], poles[1], atol=0.05)  # Ry


@pytest.mark.slow
def test_lattice_constant_and_bulk_modulus_are_those_of_all_electron_pbe(real, tmp_path):
    """All-electron PBE: 4.04 Å and 77 GPa (Lejaeghere et al., Science 351, aad3000 (2016))."""
    labeler = real(ecutwfc="25 Ry", k_spacing=0.2, degauss="0.02 Ry", bands=1.4, conv_thr=1e-9)
    lattice = np.array([3.94, 3.99, 4.04, 4.09, 4.14])
    labels = [relabel(fcc(a), labeler, tmp_path, max_attempts=2) for a in lattice]
    curve = EquationOfState(lattice**3 / 4, [label.energy for label in labels], "birchmurnaghan")
    volume, _, modulus = curve.fit()
    assert (4 * volume) ** (1 / 3) == pytest.approx(4.04, rel=0.005)
    assert modulus / GPA == pytest.approx(77.0, rel=0.05)

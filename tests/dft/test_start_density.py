"""Start densities: what is learned, that pw.x starts from it, and that the answer stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from scipy.io import FortranFile

from fw_nnp.core.atoms import from_atoms
from fw_nnp.core.records import Configuration, Label
from fw_nnp.core.units import BOHR
from fw_nnp.dft import make_labeler
from fw_nnp.dft.custody import Custody
from fw_nnp.dft.espresso_input import keyword
from fw_nnp.dft.labeler import ProgramLabeler
from fw_nnp.dft.start_density import FILE, SPACING, StartDensity

from .conftest import espresso, pair

ECUTRHO = 30.0  # Ry
VALENCE = {"Al": 3.0, "Cu": 11.0}
WIDTH = {"Al": 1.1, "Cu": 0.6}  # bohr, of the Gaussian that an atom's share is


def crystal(seed: int, n: int = 1, copper: int = 0) -> Configuration:
    """A rattled cell of 4 n atoms, the first `copper` of them Cu."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Al", "fcc", a=4.05, cubic=True) * (n, 1, 1)
    atoms.set_cell(atoms.cell @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += 0.2 * rng.normal(size=(4 * n, 3))
    atoms.numbers[:copper] = 29
    return from_atoms(atoms)


def exact(configuration: Configuration, vectors: np.ndarray) -> np.ndarray:
    """Density of Gaussian atoms at `vectors` (G, 3) in 1/bohr."""
    lengths = np.linalg.norm(vectors, axis=1)
    total = np.zeros(len(vectors), dtype=complex)
    for symbol, position in zip(configuration.symbols, configuration.positions / BOHR, strict=True):
        share = VALENCE[symbol] * np.exp(-0.5 * (WIDTH[symbol] * lengths) ** 2)
        total += share * np.exp(-1j * vectors @ position)
    return total * BOHR**3 / configuration.volume


def converge(configuration: Configuration, save: Path) -> None:
    """Leave the exact density in `save`, as pw.x with complex wave functions does."""
    axes = [np.arange(-9, 10)] * 3
    miller = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    rows = 2.0 * np.pi * BOHR * np.linalg.inv(configuration.cell).T
    miller = miller[np.linalg.norm(miller @ rows, axis=1) ** 2 <= ECUTRHO]
    save.mkdir()
    with FortranFile(save / FILE, "w") as file:
        file.write_record(np.array([0, len(miller), 1], dtype="i4"))
        file.write_record(rows)
        file.write_record(miller.astype("i4"))
        file.write_record(exact(configuration, miller @ rows))


def read(save: Path) -> tuple[bool, np.ndarray, np.ndarray, np.ndarray]:
    """(real wave functions?, b (3, 3), Miller indices (G, 3), density (G,)) of a file."""
    with FortranFile(save / FILE) as file:
        half, _, spins = file.read_ints("i4")
        assert spins == 1
        rows = file.read_reals("f8").reshape(3, 3)
        return bool(half), rows, file.read_ints("i4").reshape(-1, 3), file.read_record("c16")


@pytest.mark.parametrize("copper", [0, 1])
def test_shares_of_atoms_carry_over_to_other_cells(copper, tmp_path):
    densities = StartDensity(ECUTRHO, VALENCE)
    for seed in (1, 2):
        converge(crystal(seed, copper=copper), tmp_path / f"{seed}")
        densities.learn(crystal(seed, copper=copper), tmp_path / f"{seed}")
    other = crystal(3, n=2, copper=3 * copper)
    assert densities.write(other, tmp_path / "other")
    half, rows, miller, density = read(tmp_path / "other")
    expected = exact(other, miller @ rows)
    assert np.abs(density - expected).max() < 5e-3 * np.abs(expected).max()
    assert density[0] == pytest.approx(expected[0], rel=1e-12)  # the number of electrons
    # One of each pair ±G, and all of those that pw.x will ask for.
    assert half
    both = np.concatenate([miller, -miller[1:]])
    assert len(np.unique(both, axis=0)) == len(both)
    volume = other.volume / BOHR**3
    assert len(both) == pytest.approx(volume * ECUTRHO**1.5 / (6.0 * np.pi**2), rel=0.02)


def test_vectors_just_beyond_the_cutoff_are_learned_from(tmp_path):
    """pw.x's own constants may put some there, and the cutoff may fall on the last knot."""
    densities = StartDensity((12 * SPACING) ** 2, VALENCE)
    converge(crystal(1), tmp_path / "converged")
    beyond = np.sqrt(ECUTRHO) - 12 * SPACING
    assert 0.0 < beyond < SPACING
    densities.learn(crystal(1), tmp_path / "converged")
    assert densities.write(crystal(2), tmp_path / "next")


def test_nothing_is_written_for_an_element_not_seen(tmp_path):
    densities = StartDensity(ECUTRHO, VALENCE)
    assert not densities.write(crystal(1), tmp_path / "first")
    converge(crystal(1), tmp_path / "al")
    densities.learn(crystal(1), tmp_path / "al")
    assert not densities.write(crystal(2, copper=1), tmp_path / "alloy")
    assert [path.name for path in tmp_path.iterdir()] == ["al"]


def test_a_density_that_cannot_be_read_teaches_nothing(tmp_path):
    """Built with HDF5, cut off, not finite: the label is proved without it."""
    hdf5, cut, broken = (tmp_path / name for name in ("hdf5", "cut", "broken"))
    hdf5.mkdir()
    (hdf5 / "charge-density.hdf5").write_bytes(b"\x89HDF")
    for save in (cut, broken):
        converge(crystal(1), save)
    whole = (cut / FILE).read_bytes()
    (cut / FILE).write_bytes(whole[: len(whole) // 2])
    (broken / FILE).write_bytes(whole[:-20] + np.array([np.nan]).tobytes() + whole[-12:])
    densities = StartDensity(ECUTRHO, VALENCE)
    for save in (hdf5, cut, broken):
        densities.learn(crystal(1), save)
    assert not densities.write(crystal(2), tmp_path / "next")


@pytest.mark.parametrize(
    "changes",
    [
        {"spin": True},
        {"input_dft": "r2scan"},
        {"hubbard": {"Al-3p": "1 eV"}},
        {"extra": {"electrons": {"startingpot": "atomic"}}},
        {"extra": {"system": {"noncolin": True}}},
    ],
)
def test_a_start_that_could_choose_the_answer_stays_with_the_program(changes):
    labeler = make_labeler(espresso(**changes), programs={"pw": ["pw.x"]}, base=Path())
    assert labeler.densities is None


def test_paw_starts_from_atoms(tmp_path):
    """Its augmentation charges are not in the density."""
    shipped = make_labeler(espresso(), programs={"pw": ["pw.x"]}, base=Path())
    assert shipped.densities is not None
    upf = next(iter(shipped.pseudos.values())).path
    (tmp_path / upf.name).write_text(upf.read_text() + "<PP_PAW/>\n")
    paw = espresso(pseudo_dir=str(tmp_path))
    assert make_labeler(paw, programs={"pw": ["pw.x"]}, base=Path()).densities is None


def learned(labeler, tmp_path: Path) -> None:
    """Give a labeler something to start from; any density will do."""
    converge(pair(), tmp_path / "converged")
    labeler.densities.learn(pair(), tmp_path / "converged")


def test_a_failed_run_is_repeated_from_atoms(labeler, tmp_path):
    """The file has gone with the failed run, and may have been to blame."""
    learned(labeler, tmp_path)
    run = tmp_path / "run"
    labeler.write(pair(), run)
    assert keyword((run / "pw.in").read_text(), "startingpot") == "'file'"
    (run / "pw.out").write_text("     Program PWSCF v.7.2 starts\n Error in routine broyden (1):\n")
    repairs = labeler.handlers(labeler.job(run))[0]
    assert repairs.check(run)
    assert repairs.correct(run)["actions"]
    assert keyword((run / "pw.in").read_text(), "startingpot") == "'atomic'"


def test_a_saved_state_belongs_to_the_question_not_to_its_start(labeler, tmp_path):
    learned(labeler, tmp_path)
    run = tmp_path / "run"
    labeler.write(pair(), run)
    (run / "pw.out").write_text("     Program stopped by user request\n")
    labeler.stopped(run)
    labeler.write(pair(), run)
    text = (run / "pw.in").read_text()
    assert keyword(text, "restart_mode") == "'restart'"
    assert keyword(text, "startingpot") is None


@pytest.mark.parametrize(("version", "reads"), [("6.8", False), ("7.2", True), ("7.3.1", True)])
def test_an_old_pw_starts_from_atoms(version, reads, labeler, tmp_path, monkeypatch):
    """Before 7.2 the places of a half density are found slowly, or by its order."""
    label = Label(
        configuration_id=pair().id,
        theory_id=labeler.theory.id,
        energy=-1.0,
        forces=np.zeros((2, 3)),
        stress=None,
        provenance={"version": version},
    )
    monkeypatch.setattr(ProgramLabeler, "label", lambda *_: label)
    converge(pair(), tmp_path / "fw.save")
    monkeypatch.setattr("fw_nnp.dft.espresso.SAVE", "fw.save")
    labeler.label(pair(), tmp_path, Custody(max_attempts=1))
    assert labeler.densities.write(pair(), tmp_path / "next") is reads


@pytest.mark.engines
def test_a_learned_start_saves_steps_and_changes_no_label(real, tmp_path):
    """The real pw.x: the second cell starts from what the first has taught."""
    theory = {"k_spacing": 0.8, "ecutwfc": "16 Ry", "conv_thr": 1e-10}
    custody = Custody(max_attempts=1)
    plain = real(**theory).label(crystal(2), tmp_path / "plain", custody)
    labeler = real(**theory)
    labeler.label(crystal(1), tmp_path / "first", custody)
    label = labeler.label(crystal(2), tmp_path / "second", custody)
    said = (tmp_path / "second" / "pw.out").read_text()
    assert "The initial density is read from file" in said
    assert "Conversion: Gamma charge to K charge" in said
    assert label.provenance["start_density"] == "learned"
    assert "start_density" not in plain.provenance
    assert label.provenance["n_scf_steps"] < plain.provenance["n_scf_steps"]
    assert label.energy == pytest.approx(plain.energy, abs=1e-7)
    np.testing.assert_allclose(label.forces, plain.forces, atol=1e-4)
    np.testing.assert_allclose(label.stress, plain.stress, atol=1e-6)

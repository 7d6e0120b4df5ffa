"""LAMMPS inputs with ``pair_style fw_nnp``: the same physics as in Python, and clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import absent

from fw_nnp.core.errors import EngineError, SamplingError, SpecError
from fw_nnp.core.records import Configuration
from fw_nnp.core.units import BAR
from fw_nnp.nnp import predict
from fw_nnp.nnp.artefact import build, save_model
from fw_nnp.nnp.lammps_input import Lines, parts, read_pair_style, words_of
from fw_nnp.nnp.lammps_run import open_lammps, run_lammps
from fw_nnp.potentials.lammps_files import read_dump

from .conftest import steep

pytestmark = pytest.mark.engines

VIRIAL = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
SHEAR = "change_box all triclinic xy final 0.3 xz final -0.2 yz final 0.1 remap"
START = """
units metal
atom_style atomic
boundary p p {boundary}
lattice fcc 4.05
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 26.98
{change}
variable model string {model}
pair_style fw_nnp ${{model}} &
    {precision}   # continued, and a comment
pair_coeff * * Al
displace_atoms all random 0.1 0.1 0.1 77
"""
OUTPUT = """
compute e all pe/atom
compute energy all reduce sum c_e
compute s all stress/atom NULL virial
compute stress all reduce sum c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]
compute p all pressure NULL virial
dump d all custom 1 out.dump id x y z fx fy fz
dump_modify d sort id format float %.17g
thermo_style custom step pe c_energy c_p[1] c_p[2] c_p[3] c_p[4] c_p[5] c_p[6] &
    c_stress[1] c_stress[2] c_stress[3] c_stress[4] c_stress[5] c_stress[6] etotal vol
thermo_modify format float %.17g
thermo 1
"""


@pytest.fixture(autouse=True)
def _lammps(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    try:
        open_lammps(["-log", "none", "-screen", "none"]).close()
    except EngineError as error:
        absent(str(error))


def run(tmp_path, *texts, **names):
    path = tmp_path / "in.al"
    path.write_text("".join(texts).format(**names) if names else "".join(texts))
    run_lammps(path, ["-screen", "none"])


def table(tmp_path):
    """The rows of numbers in the log."""
    rows = [line.split() for line in (tmp_path / "log.lammps").read_text().splitlines()]
    return np.array([row for row in rows if len(row) == 17 and row[0].isdigit()], dtype=float)


@pytest.mark.parametrize("precision", ["double", "single"])
def test_equals_the_model_in_python(fitted, tmp_path, precision):
    names = {"model": fitted, "precision": precision, "boundary": "p", "change": SHEAR}
    run(tmp_path, START, OUTPUT, "fix 1 all nve\nrun 3\n", **names)
    rows = table(tmp_path)
    frames = list(read_dump(tmp_path / "out.dump", ["id", "x", "y", "z", "fx", "fy", "fz"]))
    assert len(frames) == len(rows) == 4
    small = 1e-9 if precision == "double" else 2e-4
    for frame, row in zip(frames, rows, strict=True):
        cell = Configuration(
            cell=frame.box, positions=frame.columns[:, 1:4], numbers=np.full(32, 13)
        )
        (label,) = predict(fitted, [cell])
        np.testing.assert_allclose(frame.columns[:, 4:], label.forces, atol=small)
        assert row[1] == pytest.approx(label.energy, abs=small * 32)
        assert row[2] == pytest.approx(label.energy, abs=small * 32)
        pressure = -np.array([label.stress[a, b] for a, b in VIRIAL]) / BAR
        np.testing.assert_allclose(row[3:9], pressure, rtol=small * 100, atol=small * 1e6)
        np.testing.assert_allclose(
            row[9:15], -pressure * cell.volume, rtol=small * 100, atol=1e3 * small * 1e6
        )
    assert np.abs(frames[0].columns[:, 4:]).max() > 0.1


def test_dynamics_conserve_energy_through_sorting_and_wrapping(fitted, tmp_path):
    names = {"model": fitted, "precision": "single", "boundary": "p", "change": SHEAR}
    md = """
atom_modify sort 7 3.0
neigh_modify every 1 delay 0 check yes
velocity all create 400 4 mom yes
fix 1 all nve
thermo 50
run 500
"""
    run(tmp_path, START, OUTPUT, md, **names)
    rows = table(tmp_path)
    total = rows[:, 15] / 32
    assert np.ptp(rows[:, 1] / 32) > 5e-3
    assert np.ptp(total) < 5e-4


def test_barostat_minimiser_and_loops_work(fitted, tmp_path):
    """A strained crystal relaxes to no pressure; jump and label stay what they are."""
    names = {"model": fitted, "precision": "double", "boundary": "p", "change": SHEAR}
    rest = """
change_box all x scale 1.03 y scale 0.99 remap
fix r all box/relax tri 0.0 vmax 0.01
min_modify line quadratic
minimize 0 1e-4 400 800
unfix r
fix 1 all nve
label again
variable k loop 3
run 1
next k
jump SELF again
"""
    run(tmp_path, START, OUTPUT, rest, **names)
    rows = table(tmp_path)
    assert np.abs(rows[0, 3:6]).max() > 1e4
    assert np.abs(rows[-1, 3:9]).max() < 300.0
    assert rows[-1, 0] - rows[-4, 0] >= 2


def test_a_slab_has_a_free_surface(fitted, tmp_path):
    names = {
        "model": fitted,
        "precision": "double",
        "boundary": "s",
        "change": "change_box all triclinic",
    }
    run(
        tmp_path,
        START,
        OUTPUT,
        "fix 1 all nve\nrun 1\n",
        **names,
    )
    (frame, _) = read_dump(tmp_path / "out.dump", ["id", "x", "y", "z", "fx", "fy", "fz"])
    cell = Configuration(
        cell=frame.box,
        positions=frame.columns[:, 1:4],
        numbers=np.full(len(frame.columns), 13),
        pbc=(True, True, False),
    )
    (label,) = predict(fitted, [cell])
    np.testing.assert_allclose(frame.columns[:, 4:], label.forces, atol=1e-9)


def test_two_elements_and_a_second_potential(tmp_path, small_spec):
    """Types map to elements in the order of pair_coeff; clear, and another model."""
    model = steep(build(small_spec, ["Al", "Ni"], 3).double())
    save_model(tmp_path / "two.pt", model, {})
    text = """
units metal
atom_modify map array
region box block 0 5 0 5 0 5
create_box 2 box
create_atoms 1 single 1 1 1
create_atoms 2 single 1 1 3.4
create_atoms 1 single 3 1 1
mass * 30
pair_style fw_nnp two.pt double
pair_coeff * * Ni Al
thermo_style custom step pe vol
thermo_modify format float %.17g
run 0
"""
    run(tmp_path, text, "clear\n", text.replace("Ni Al", "Al Ni"))
    rows = [line.split() for line in (tmp_path / "log.lammps").read_text().splitlines()]
    energies = [float(row[1]) for row in rows if len(row) == 3 and row[2] == "125"]
    positions = np.array([[1, 1, 1], [1, 1, 3.4], [3, 1, 1]])
    cells = [
        Configuration(cell=np.eye(3) * 5, positions=positions, numbers=numbers)
        for numbers in ([28, 13, 28], [13, 28, 13])
    ]
    expected = [label.energy for label in predict(tmp_path / "two.pt", cells)]
    np.testing.assert_allclose(energies, expected, atol=1e-9)
    assert abs(expected[0] - expected[1]) > 0.01


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("units metal", "units real", "units real"),
        ("* * Al", "* * Al Al", "2 elements for 1 atom types"),
        ("* * Al", "* * Cu", "does not know Cu"),
        ("* * Al", "1 1 Al", "cannot read 'pair_coeff 1 1 Al'"),
        ("{precision}", "half", "cannot read 'pair_style"),
        ("string {model}", "string gone.pt", "no model file 'gone.pt'"),
        ("pair_style fw_nnp", "pair_style hybrid fw_nnp", "hybrid does not work"),
        ("mass 1", "neigh_modify exclude type 1 1\nmass 1", "excluded pairs"),
        ("mass 1", "run_style respa 2 2\nmass 1", "respa"),
        ("pair_style fw_nnp", "pair_style eam", "no pair_style fw_nnp"),
        ("mass 1", "nonsense 1\nmass 1", "Unknown command: nonsense"),
    ],
)
def test_what_cannot_work_is_refused(fitted, tmp_path, old, new, message):
    assert old in START
    names = {"model": fitted, "precision": "double", "boundary": "p", "change": SHEAR}
    with pytest.raises((SpecError, SamplingError), match="(?s)" + message.replace("*", r"\*")):
        run(tmp_path, START.replace(old, new), "fix 1 all nve\nrun 0\n", **names)


def test_atoms_that_collide_end_the_run_with_a_reason(fitted, tmp_path):
    names = {"model": fitted, "precision": "double", "boundary": "p", "change": SHEAR}
    collide = "create_atoms 1 single 1 1 1 units box\n" * 2 + "fix 1 all nve\nrun 5\nrun 5\n"
    with pytest.raises(SamplingError, match=r"step 0: two atoms are .* apart"):
        run(tmp_path, START, collide, **names)


def test_input_is_cut_at_the_potential():
    text = "units metal\npair_style fw_nnp a.pt\npair_coeff * * Al\nrun 1 # pair_style fw_nnp\n"
    first, style, middle, coeff, last = parts(text, "in.al")
    assert isinstance(first, Lines)
    assert first.text == "units metal\n"
    assert style.place == "in.al:2"
    assert coeff.command == "pair_coeff * * Al"
    assert middle.text.strip() == ""
    assert last.text.startswith("run 1")
    assert words_of("pair_style fw_nnp 'my model.pt' # no") == [
        "pair_style",
        "fw_nnp",
        "my model.pt",
    ]
    with pytest.raises(SpecError, match=r"in\.al:1"):
        read_pair_style(["pair_style", "fw_nnp"], "in.al:1")

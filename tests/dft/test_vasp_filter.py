"""What passes the filter and what is refused, for every handler of the installed custodian.

Each handler corrects four times in a row a run with every tag that handlers like to change; the
table holds what was done of it. A handler or key that custodian adds makes the test fail: it has
to be judged here first.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import warnings
from pathlib import Path

import custodian.vasp.handlers as all_handlers
import pytest
import stand_in_vasp
from custodian.custodian import ErrorHandler
from custodian.vasp.handlers import AliasingErrorHandler, StdErrHandler, VaspErrorHandler

from fw_nnp.dft.vasp_actions import kind_of_tag
from fw_nnp.dft.vasp_catalogue import MESSAGES, REMARKS, REMEDIES
from fw_nnp.dft.vasp_repairs import filtered, read_refused

from .test_vasp import POTCAR

INCAR = """ALGO = Fast
ISMEAR = 1
SIGMA = 0.2
LREAL = Auto
NBANDS = 40
NCORE = 4
KPAR = 2
NELM = 60
EDIFF = 1e-06
NSW = 0
PREC = Normal
ENCUT = 300
NGX = 24
"""
POSCAR = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nAl Cu\n1 1\nCartesian\n0 0 0\n2 2 2\n"
KPOINTS = "auto\n0\nMonkhorst\n4 4 4\n0 0 0\n"

# key of VaspErrorHandler -> (what is done, what is refused), with KSPACING in the INCAR
DONE: dict[str, list[str]] = {
    "ksymm": ["SYMPREC = 1e-06", "ISYM = 0"],
    "inv_rot_mat": ["SYMPREC = 0.0001", "ISYM = 0"],
    "brmix": ["ISTART = 1", "IMIX = 1", "ISYM = 0"],
    "too_few_bands": ["NBANDS = 44", "NBANDS = 48", "NBANDS = 52", "NBANDS = 57"],
    "rot_matrix": ["ISYM = 0"],
    "pricel": ["SYMPREC = 1e-08, ISYM = 0"],
    "zpotrf": ["ISYM = 0, NCORE = 1"],
    "amin": ["AMIN = 0.01"],
    "zbrent": ["EDIFF = 1e-07, NELMIN = 8", "EDIFF = 1e-08"],
    "pssyevx": ["ALGO = Normal"],
    "pdsyevx": ["ALGO = Normal"],
    "eddrmm": ["ALGO = Normal"],
    "edddav": ["ALGO = All, ISEARCH = 1"],
    "grad_not_orth": ["NBANDS = 44"],
    "zheev": ["ALGO = Normal", "ALGO = All, ISEARCH = 1"],
    "eddiag": ["ALGO = Normal", "ALGO = All, ISEARCH = 1"],
    "elf_kpar": ["KPAR = 1"],
    "rhosyg": ["SYMPREC = 0.0001", "ISYM = 0"],
    "posmap": ["SYMPREC = 1e-06", "SYMPREC = 0.0001", "ISYM = 0"],
    "point_group": ["ISYM = 0"],
    "pricelv": ["SYMPREC = 1e-06", "SYMPREC = 0.0001", "ISYM = 0"],
    "symprec_noise": ["SYMPREC = 1e-06", "ISYM = 0"],
    "dfpt_ncore": ["unset NCORE"],
    "bravais": ["SYMPREC = 1e-06", "ISYM = 0"],
    "hnform": ["ISYM = 0"],
    "coef": ["delete WAVECAR"],
    "ibzkpt": ["ISYM = 0", "SYMPREC = 1e-06"],
}
REFUSED: dict[str, set[str]] = {
    "tet": {"ISMEAR = 0", "SIGMA = 0.05"},
    "dentet": {"KSPACING = 0.183333", "KGAMMA = True", "ISMEAR = 0", "SIGMA = 0.05"},
    "subspacematrix": {"LREAL = False", "PREC = Accurate"},
    "real_optlay": {"LREAL = False"},
    "rspher": {"LREAL = False"},
    "nicht_konv": {"LREAL = False"},
    "triple_product": {"POSCAR: structure"},
    "algo_tet": {"ISMEAR = 0", "SIGMA = 0.05"},
    # Steps of a relaxation: a single point must stay where it is.
    "brions": {"file_copy CONTCAR POSCAR", "POTIM = 0.6"},
    "zbrent": {"file_copy CONTCAR POSCAR", "IBRION = 1"},
    "eddrmm": {"file_copy CONTCAR POSCAR", "POTIM = 0.25"},
    "edddav": {"file_copy CONTCAR POSCAR"},
    "zheev": {"file_copy CONTCAR POSCAR"},
    "eddiag": {"file_copy CONTCAR POSCAR"},
    "fexcf": {"file_copy CONTCAR POSCAR"},
}
# The same with a Monkhorst-Pack KPOINTS file, where it differs: k-points are physics.
REFUSED_GRID = {
    "inv_rot_mat": {"KPOINTS: generation_style = Gamma"},
    "tetirr": {"KPOINTS: generation_style = Gamma"},
    "incorrect_shift": {"KPOINTS: generation_style = Gamma"},
    "dentet": {"KPOINTS: generation_style = Gamma"},
    "rot_matrix": {"KPOINTS: generation_style = Gamma"},
    "brmix": {"KPOINTS: generation_style = Gamma", "KPOINTS: kpoints = ((5, 5, 5),)"},
}
# The other handlers -> (what is done, what is refused) of a run that did not converge.
OTHERS: dict[str, tuple[list[str], set[str]]] = {
    "CheckpointHandler": ([], {"file_create STOPCAR", "file_create chkpt.yaml"}),
    "DriftErrorHandler": ([], {"file_copy CONTCAR POSCAR", "PREC = Accurate"}),
    "FrozenJobErrorHandler": (["ALGO = Normal"], set()),
    "IncorrectSmearingHandler": ([], {"ISMEAR = 2"}),
    "KspacingMetalHandler": ([], set()),  # 0.22 is what it would set
    "LargeSigmaHandler": ([], {"SIGMA"}),
    "LrfCommutatorHandler": (["LPEAD = True"], set()),
    "MeshSymmetryErrorHandler": ([], {"KPOINTS: generation_style = Gamma"}),
    "NonConvergingErrorHandler": (
        [
            "ALGO = Normal",
            "ALGO = All, ISEARCH = 1",
            "ALGO = Normal, AMIX = 0.1, BMIX = 0.01, ICHARG = 2",
            "ALGO = All",
        ],
        set(),
    ),
    "PositiveEnergyErrorHandler": (["ALGO = Normal"], {"POTIM = 0.25"}),
    "PotimErrorHandler": ([], {"POTIM = 0.25"}),
    "ScanMetalHandler": ([], set()),
    "UnconvergedErrorHandler": (["ALGO = Normal"], set()),
    "WalltimeHandler": ([], set()),
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of the stand-in with its outputs."""

    def make(*, grid: bool = False, converged: bool = True) -> Path:
        extra = "" if grid else "KSPACING = 0.22\n"
        (tmp_path / "INCAR").write_text(INCAR + extra)
        (tmp_path / "POSCAR").write_text(POSCAR)
        texts = [POTCAR.format(symbol=e, element=e) for e in ("Al", "Cu")]
        (tmp_path / "POTCAR").write_text("".join(texts))
        if grid:
            (tmp_path / "KPOINTS").write_text(KPOINTS)
        monkeypatch.chdir(tmp_path)
        with contextlib.redirect_stdout(io.StringIO()):
            stand_in_vasp.compute(
                stand_in_vasp.read_incar(Path("INCAR")), "" if converged else "unconverged"
            )
        for name in ("vasp.out", "std_err.txt", "WAVECAR"):
            (tmp_path / name).write_text("")
        return tmp_path

    return make


def four_times(handler: ErrorHandler, errors: set[str], directory: Path) -> tuple[list[str], set]:
    done = []
    for _ in range(4):
        handler.errors = errors
        record = filtered(handler, directory, allow_physics=False)
        if record is not None:
            assert record["kind"] in ("numerical", "resource")
            done.append(record["action"])
        (directory / "WAVECAR").unlink(missing_ok=True)
    refused = {change for note in read_refused(directory) for change in note["refused"]}
    return done, {change.split(" = {")[0] for change in refused}


@pytest.mark.parametrize("key", sorted(VaspErrorHandler.error_msgs))
def test_every_key_of_the_master_handler(key, run):
    directory = run()
    before = {name: (directory / name).read_bytes() for name in ("POSCAR", "POTCAR")}
    done, refused = four_times(VaspErrorHandler("vasp.out"), {key}, directory)
    if key == "brmix":
        done = [action.removesuffix(", delete WAVECAR") for action in done]
    if key == "eddrmm":
        done[0] = done[0].removesuffix(", delete WAVECAR")
    assert done == DONE.get(key, [])
    assert refused == REFUSED.get(key, set())
    assert before == {name: (directory / name).read_bytes() for name in before}


@pytest.mark.parametrize("key", sorted(REFUSED_GRID))
def test_k_points_stay_as_they_are(key, run):
    directory = run(grid=True)
    _, refused = four_times(VaspErrorHandler("vasp.out"), {key}, directory)
    assert refused == REFUSED_GRID[key]
    assert (directory / "KPOINTS").read_text() == KPOINTS


@pytest.mark.parametrize(
    ("key", "done"),
    [
        ("kpoints_trans", "ISYM = 0"),
        ("out_of_memory", "KPAR = 1"),
        ("grad_not_orth", "NBANDS = 44"),
    ],
)
def test_standard_error(key, done, run):
    assert four_times(StdErrHandler(), {key}, run()) == ([done], set())


@pytest.mark.parametrize("key", sorted(AliasingErrorHandler.error_msgs))
def test_the_fft_grid_is_physics(key, run):
    done, refused = four_times(AliasingErrorHandler(), {key}, run())
    assert set(done) <= {"delete WAVECAR"}
    assert all("NG" in change for change in refused)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_the_other_handlers(name, run):
    directory = run(grid=name.startswith("Mesh"), converged=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        handler = getattr(all_handlers, name)()
    done, refused = four_times(handler, {"lrf_comm"}, directory)
    assert done == OTHERS[name][0]
    assert {r.split(" = ")[0] if r.startswith("SIGMA = inf") else r for r in refused} == OTHERS[
        name
    ][1]


def test_every_handler_and_key_of_custodian_is_judged():
    handlers = {
        name
        for name, found in inspect.getmembers(all_handlers, inspect.isclass)
        if issubclass(found, ErrorHandler) and found.__module__ == all_handlers.__name__
    }
    # StoppedRunHandler undoes what CheckpointHandler did: neither is ours to use.
    judged = {*OTHERS, "VaspErrorHandler", "StdErrHandler", "AliasingErrorHandler"}
    assert handlers == judged | {"StoppedRunHandler"}
    keys = set(MESSAGES) - REMARKS
    assert keys <= set(REMEDIES), keys - set(REMEDIES)


def test_the_kinds_of_the_table_are_those_of_the_filter():
    """A class whose first repair is done is numerical or resource; a refused one is physics."""
    for key in VaspErrorHandler.error_msgs:
        if key in DONE and key != "brmix":
            assert REMEDIES[key].kind in ("numerical", "resource"), key
        elif key in REFUSED and key not in ("brions", "fexcf", "algo_tet"):
            assert REMEDIES[key].kind == "physics", key


@pytest.mark.parametrize(
    ("tag", "value", "kind"),
    [
        ("ALGO", "Normal", "numerical"),
        ("ALGO", "None", "physics"),
        ("ICHARG", 2, "numerical"),
        ("ICHARG", 11, "physics"),
        ("KPAR", 1, "resource"),
        ("ENCUT", 400, "physics"),
        ("KSPACING", 0.22, "physics"),
        ("A_TAG_OF_THE_FUTURE", 1, "physics"),
    ],
)
def test_what_is_not_known_is_physics(tag, value, kind):
    assert kind_of_tag(tag, value) == kind

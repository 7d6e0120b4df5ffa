"""The command line: every command documented, every mistake one message and exit code 2."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from fw_nnp.cli.main import app, main
from fw_nnp.core.records import Configuration, Frame, Label, LevelOfTheory
from fw_nnp.services.launchpad import connect
from fw_nnp.store.mongo import MongoDocuments
from fw_nnp.store.store import Store

QUICKSTART = Path(__file__).parents[2] / "examples" / "campaigns" / "al_quickstart.yaml"


class Result:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run ``fw-nnp`` with these words in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str | Path) -> Result:
        monkeypatch.setattr("sys.argv", ["fw-nnp", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Result(int(ended.value.code or 0), printed.out, printed.err)

    return run


def commands(group: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, command in group.commands.items():
        full = f"{prefix}{name}"
        deeper = hasattr(command, "commands")
        found += commands(command, f"{full} ") if deeper else [(full, command)]
    return found


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_the_commands_of_the_manual_are_there() -> None:
    asked = "doctor init submit validate status query export train evaluate report"
    asked += " trace impact import"
    pairs = "mongod start,mongod stop,mongod status,dataset create,dataset diff,dataset show,"
    pairs += "dataset list,store check,store backup,store restore,store migrate,store reader"
    assert {*asked.split(), *pairs.split(",")} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_parses(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    example = command.help.split("Example: `fw-nnp ")[1].split("`")[0]
    words = shlex.split(example)[len(name.split()) :]
    assert example.startswith(name)
    assert command.make_context(name, words) is not None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if parameter.name not in ("help", "with_parent"):
            assert getattr(parameter, "help", None), parameter.name


def test_validate_says_what_would_be_done(call) -> None:
    plain = call("validate", QUICKSTART)
    assert plain.code == 0
    assert "pretrain -> transfer" in plain.out
    spec = json.loads(call("validate", QUICKSTART, "--quick", "--json").out)
    assert spec["name"] == "al-quickstart-quick"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["validate", "absent.yaml"], "no such file"),
        (["submit", QUICKSTART], "my_launchpad.yaml: no such file"),
        (["query", "phse=liquid"], "did you mean 'phase'"),
        (["query", "Al", "--fields", "frmula"], "did you mean 'formula'"),
        (["query", "Al", "--histogram", "presure"], "did you mean 'pressure'"),
        (["export", "x.extxyz"], "either --dataset or --query"),
        (["import", "x.extxyz", "--campaign", "a", "--purpose", "fun"], "no purpose 'fun'"),
        (["train", "--data", "absent.extxyz", "--out", "x"], "absent.extxyz"),
        (["evaluate", "absent.pt", "--data", "absent.extxyz"], "absent.extxyz"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(call, words: list, message: str) -> None:
    result = call(*words)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert result.out == ""


def test_a_wrong_config_names_file_and_key(call, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("stages: [{name: a, epoch: 3}]\n")
    result = call("train", "--data", "x.extxyz", "--out", "y", "--config", "t.yaml")
    assert result.code == 2
    assert "t.yaml: stages.0.epoch: unknown key (did you mean 'epochs'?)" in result.err


@pytest.mark.engines
def test_a_server_that_is_down_and_a_wrong_password(call, launchpad_file: Path) -> None:
    text = launchpad_file.read_text()
    password = next(line for line in text.splitlines() if line.startswith("password"))
    launchpad_file.write_text(text.replace(password, "password: wrong"))
    result = call("status", "-l", launchpad_file)
    assert result.code == 2
    assert "wrong password" in result.err
    port = next(line for line in text.splitlines() if line.startswith("port"))
    launchpad_file.write_text(text.replace(port, "port: 9"))
    result = call("status", "-l", launchpad_file)
    assert result.code == 2
    assert "127.0.0.1:9" in result.err


@pytest.fixture
def filled(launchpad_file: Path, launchpad) -> Path:
    """A launchpad file whose store holds three labels."""
    store = Store(MongoDocuments(connect(launchpad_file).db))
    theory = LevelOfTheory(code="espresso", settings={})
    store.add_theory(theory)
    ids = []
    for i, phase in enumerate(("solid", "liquid", "liquid")):
        cell = Configuration(
            cell=(4 + i / 10) * np.eye(3), positions=np.zeros((1, 3)), numbers=[13]
        )
        frame = Frame(configuration=cell, trajectory=f"trj-{i}", sampler="rattle", phase=phase)
        label = Label(
            configuration_id=cell.id,
            theory_id=theory.id,
            energy=-3.0,
            forces=np.full((1, 3), 0.1 * i),
            stress=np.zeros((3, 3)),
        )
        store.add_frames([frame], campaign="a")
        store.add_labels([(frame, label)], campaign="a", purpose="training")
        ids.append(label.id)
    split = {"train": ids[:1], "validation": ids[1:2], "test": ids[2:]}
    store.freeze_dataset("a", theories=[theory.id], split=split)
    return launchpad_file


@pytest.mark.engines
def test_query_counts_lists_and_prints_json(call, filled: Path) -> None:
    assert call("query", "Al phase=liquid", "--count", "-l", filled).out.strip() == "2"
    assert json.loads(call("query", "max_force<0.2", "--count", "--json", "-l", filled).out) == {
        "count": 2
    }
    rows = json.loads(call("query", "phase=liquid", "--json", "-l", filled).out)
    assert {row["phase"] for row in rows} == {"liquid"}
    table = call("query", "", "--fields", "phase,pressure", "-l", filled)
    assert "3 labels" in table.out


@pytest.mark.engines
def test_export_by_dataset_and_by_query(call, filled: Path, tmp_path: Path) -> None:
    from ase.io import read

    result = call("export", "all.extxyz", "--dataset", "a-v1", "-l", filled)
    assert "3 labels" in result.out
    assert len(read(tmp_path / "all.extxyz", index=":")) == 3
    call("export", "test.extxyz", "--dataset", "a", "--part", "test", "-l", filled)
    assert len(read(tmp_path / "test.extxyz", index=":")) == 1
    call("export", "hot.extxyz", "--query", "phase=liquid", "-l", filled)
    assert len(read(tmp_path / "hot.extxyz", index=":")) == 2
    wrong = call("export", "x.extxyz", "--dataset", "a", "--part", "tset", "-l", filled)
    assert (wrong.code, "no part 'tset'" in wrong.err) == (2, True)
    assert not (tmp_path / "x.extxyz").exists()


@pytest.mark.engines
def test_histogram_csv_and_optimade(call, filled: Path) -> None:
    drawn = call("query", "Al", "--histogram", "phase", "-l", filled).out.splitlines()
    assert drawn[0].split() == ["liquid", "2", "█" * 50]
    assert drawn[1].split() == ["solid", "1", "█" * 25]
    bins = json.loads(call("query", "--histogram", "max_force", "--json", "-l", filled).out)
    assert sum(one["count"] for one in bins) == 3
    rows = call("query", "phase=liquid", "--csv", "--fields", "phase,campaign", "-l", filled).out
    assert rows.splitlines()[0] == "label,phase,campaign"
    assert all(line.endswith(",liquid,a") for line in rows.splitlines()[1:])
    asked = 'elements HAS "Al" AND _fwnnp_phase="liquid" AND nelements=1'
    found = call("query", asked, "--optimade", "--count", "-l", filled)
    try:
        import optimade  # noqa: F401
    except ImportError:
        assert (found.code, "pip install 'fw_nnp[optimade]'" in found.err) == (2, True)
    else:
        assert found.out.strip() == "2"
        wrong = call("query", '_fwnnp_phse="liquid"', "--optimade", "-l", filled)
        assert (wrong.code, "did you mean '_fwnnp_phase'" in wrong.err) == (2, True)


@pytest.mark.engines
def test_a_dataset_is_made_shown_and_traced(call, filled: Path, tmp_path: Path) -> None:
    words = ["--split", "by=trajectory,near_duplicates", "--fractions", "0.5,0,0.5"]
    made = call("dataset", "create", "b", "--query", "phase=liquid", *words, "-l", filled)
    assert "b-v1: 1 train, 0 validation, 1 test" in made.out
    assert "is up to date" in call("dataset", "create", "b", *words, "-l", filled).out
    assert "b-v1 is up to date" in call("dataset", "create", "b", "-l", filled).out  # as before
    assert [row["name"] for row in json.loads(call("dataset", "list", "--json", "-l", filled).out)]
    shown = call("dataset", "show", "b", "-l", filled)
    assert "near-duplicates" in shown.out
    whole = json.loads(call("dataset", "show", "b", "--json", "-l", filled).out)
    assert whole["leakage"]["cells"] == 1
    assert "kept their part" in call("dataset", "diff", "a-v1", "b-v1", "-l", filled).out
    store = Store(MongoDocuments(connect(filled).db))
    source = store.dataset("b")["_id"]
    record = {"campaign": "b", "stage": "train", "source": source, "training": {"epochs": 3}}
    store.add_model("mdl-b", b"weights", record)
    traced = call("trace", "mdl-b", "--card", "card.md", "-l", filled)
    assert "sampler run trj-1" in traced.out
    assert (tmp_path / "card.md").read_text().startswith("# b / train")
    assert json.loads(call("trace", "b", "--json", "-l", filled).out)["id"] == "mdl-b"
    label = store.member_ids(source, "train")[0]
    assert "mdl-b" in call("impact", label, "-l", filled).out


@pytest.mark.engines
def test_import_check_backup_restore(call, filled: Path, launchpad, tmp_path: Path) -> None:
    call("export", "all.extxyz", "--query", "Al", "-l", filled)
    first = call("import", "all.extxyz", "--campaign", "theirs", "-l", filled)
    assert "3 labels read, 3 of them new" in first.out
    again = call("import", "all.extxyz", "--campaign", "theirs", "-l", filled)
    assert "3 labels read, 0 of them new" in again.out
    assert call("query", "code=file", "--count", "-l", filled).out.strip() == "3"
    checked = call("store", "check", "-l", filled)
    assert (checked.code, "0 problems" in checked.out) == (0, True)
    assert "written to" in call("store", "backup", "all.tar", "-l", filled).out
    other = filled.with_name("other.yaml")
    other.write_text(filled.read_text().replace(launchpad.name, f"{launchpad.name}_other"))
    other.chmod(0o600)
    try:
        assert "restored" in call("store", "restore", "all.tar", "-l", other).out
        assert call("query", "--count", "-l", other).out.strip() == "6"
        assert call("store", "restore", "all.tar", "-l", other).code == 2
        assert "nothing to do" in call("store", "migrate", "-l", other).out
    finally:
        launchpad.connection.drop_database(f"{launchpad.name}_other")
    launchpad.db.labels.update_one({}, {"$set": {"energy": float("inf")}})
    broken = call("store", "check", "-l", filled)
    assert (broken.code, "not finite" in broken.out) == (1, True)


@pytest.mark.engines
def test_a_reader_asks_and_exports_and_is_told_that_it_may_not_write(call, filled: Path) -> None:
    assert call("store", "reader", "guest", "guest.yaml", "-l", filled).code == 0
    assert call("query", "Al", "--count", "-l", "guest.yaml").out.strip() == "3"
    assert (
        "3 labels written" in call("export", "all.extxyz", "--query", "Al", "-l", "guest.yaml").out
    )
    for words in (
        ("import", "all.extxyz", "--campaign", "theirs"),
        ("dataset", "create", "b", "--query", "phase=liquid", "--fractions", "0.5,0,0.5"),
    ):
        refused = call(*words, "-l", "guest.yaml")
        assert (refused.code, "may read this database, but not write" in refused.err) == (1, True)
    assert call("query", "--count", "-l", filled).out.strip() == "3"


@pytest.mark.engines
def test_submit_status_and_an_unknown_report(call, launchpad_file: Path) -> None:
    call("init", "-l", launchpad_file)
    first = call("submit", QUICKSTART, "--quick", "-l", launchpad_file)
    assert "al-quickstart-quick submitted" in first.out
    again = call("submit", QUICKSTART, "--quick", "-l", launchpad_file)
    assert "was there already" in again.out
    (status,) = json.loads(call("status", "--json", "-l", launchpad_file).out)
    assert status["campaign"] == "al-quickstart-quick"
    assert not status["finished"]
    assert "sample" in call("status", "-l", launchpad_file).out
    report = call("report", "al-quickstart-quick", "--json", "-l", launchpad_file)
    assert report.code == 2
    assert "evaluations" in report.err


def test_what_an_audit_cannot_tell_is_a_dash(call, tmp_path):
    atoms = bulk("Al", "fcc", a=4.05, cubic=True)
    atoms.calc = EMT()
    atoms.get_forces()
    write(tmp_path / "one.extxyz", atoms)
    result = call("audit", "one.extxyz")
    assert result.code == 1
    assert "only 0 pairs" in result.out
    (row,) = [line for line in result.out.splitlines() if "stress_factor" in line]
    assert row.split() == ["stress_factor", "-"]

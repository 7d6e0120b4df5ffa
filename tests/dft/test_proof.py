"""Success is proved: each way in which an output can fall short is found."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fw_nnp.core.errors import LabelError, NotConverged, OutputUnreadable
from fw_nnp.core.units import GPA, RYDBERG
from fw_nnp.dft.diagnose import diagnose

from .conftest import pair

XML = "out/fw.save/data-file-schema.xml"


def test_a_good_run_becomes_a_label(recorded, labeler):
    directory = recorded("good")
    label = labeler.read(pair(), directory)
    stdout = (directory / "pw.out").read_text()
    total = float(re.search(r"!\s+total energy\s+=\s+(\S+)", stdout)[1])
    pressure = float(re.search(r"P=\s*(\S+)", stdout)[1])  # kbar, positive in compression
    assert label.energy == pytest.approx(total * RYDBERG, abs=1e-6)
    assert -np.trace(label.stress) / 3 == pytest.approx(0.1 * pressure * GPA, abs=0.002 * GPA)
    assert label.forces.shape == (2, 3)
    assert label.provenance["version"] == "7.2"
    assert label.provenance["k_grid"] == [3, 3, 2]
    assert label.provenance["corrections"] == []
    assert diagnose(directory).ok


def test_job_done_is_no_proof(recorded, labeler):
    directory = recorded("not_converged")
    assert "JOB DONE" in (directory / "pw.out").read_text()
    with pytest.raises(NotConverged, match="NOT achieved after   3 iterations"):
        labeler.read(pair(), directory)
    (directory / "pw.out").write_text("Program PWSCF\n   JOB DONE.\n")
    with pytest.raises(NotConverged, match="not converged after 3 steps"):
        labeler.read(pair(), directory)


def _cut(text: str) -> str:
    return text[: len(text) * 2 // 3]


def _without(tag: str):
    return lambda text: re.sub(rf"<{tag} .*?</{tag}>", "", text, flags=re.DOTALL)


def _first_number(tag: str, value: str):
    return lambda text: re.sub(rf"(<{tag}\b[^>]*>\s*)-?\d[^\s<]+", rf"\g<1>{value}", text, count=1)


@pytest.mark.parametrize(
    ("change", "error_class"),
    [
        (_cut, "truncated"),
        (lambda text: "", "truncated"),
        (lambda text: text.replace("convergence_achieved", "something_else"), "truncated"),
        (_without("forces"), "incomplete"),
        (_without("stress"), "incomplete"),
        (_first_number("forces", "NaN"), "incomplete"),
        (_first_number("stress", "*********"), "incomplete"),
        (_first_number("etot", "NaN"), "incomplete"),
        (_first_number("forces", "0.5"), "incomplete"),  # a net force
    ],
    ids=[
        *("cut", "empty", "silent", "no forces", "no stress"),
        *("NaN force", "stars", "NaN energy", "net force"),
    ],
)
def test_the_guards_fire(change, error_class, recorded, labeler):
    directory = recorded("good")
    text = (directory / XML).read_text()
    assert change(text) != text
    (directory / XML).write_text(change(text))
    with pytest.raises(LabelError) as caught:
        labeler.read(pair(), directory)
    assert caught.value.error_class == error_class
    assert diagnose(directory).error_class == error_class


def test_too_few_bands_are_seen_in_the_occupations(recorded):
    directory = recorded("good")
    text = (directory / XML).read_text()
    filled = re.sub(r"[-\d.E]+(\s*</occupations>)", r"0.2\1", text, count=1)
    (directory / XML).write_text(filled)
    diagnosis = diagnose(directory)
    assert (diagnosis.error_class, diagnosis.remedy) == ("bands", "numerical")
    assert "0.2" in diagnosis.evidence.text


def test_a_large_scf_correction_asks_for_a_tighter_threshold(recorded):
    directory = recorded("good")
    stdout = (directory / "pw.out").read_text()
    stdout = re.sub(r"(Total SCF correction =\s*)\S+", r"\g<1>0.01", stdout)
    (directory / "pw.out").write_text(stdout)
    diagnosis = diagnose(directory)
    assert diagnosis.error_class == "force_quality"
    assert diagnosis.action.keywords == {"electrons": {"conv_thr": "/10"}}


def test_an_xml_without_standard_output_is_no_proof(recorded, labeler):
    directory = recorded("good")
    (directory / "pw.out").unlink()
    with pytest.raises(OutputUnreadable):
        labeler.read(pair(), directory)


@pytest.mark.parametrize("other", [pair(shift=0.01), pair(strain=np.diag([0.01, 0, 0]))])
def test_the_answer_to_another_question_is_refused(other, recorded, labeler):
    with pytest.raises(OutputUnreadable, match="other atoms"):
        labeler.read(other, recorded("good"))

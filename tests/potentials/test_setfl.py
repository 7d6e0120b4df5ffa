"""EAM files: what is read, what is refused, what identifies them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from fw_nnp.core.errors import SpecError
from fw_nnp.core.specs import AniSpec, BaselineSpec, ModelSpec
from fw_nnp.potentials.setfl import find_baseline, read_setfl

ALLOY = BaselineSpec(style="eam/alloy", file="CuNi.eam.alloy")
SMALL = b"""one
two
three
2 Cu Ni
3 0.5 2 1.5 3.0
29 63.5 3.6 fcc
0 -1 -2
1 2
28 58.7 3.5 fcc
0 -3
-4
5 6
7 8
9 10
11 12
"""


def test_tables_are_where_they_belong():
    found = read_setfl(ALLOY, SMALL)
    assert (found.elements, found.cutoff) == (["Cu", "Ni"], 3.0)
    assert (found.d_rho, found.d_r) == (0.5, 1.5)
    np.testing.assert_array_equal(found.embedding, [[0, -1, -2], [0, -3, -4]])
    np.testing.assert_array_equal(found.density[0], [[1, 2], [5, 6]])
    np.testing.assert_array_equal(found.density[1], [[1, 2], [5, 6]])
    np.testing.assert_array_equal(found.pair, [[[7, 8], [9, 10]], [[9, 10], [11, 12]]])
    assert found.spec.sha256 == hashlib.sha256(SMALL).hexdigest()


def test_finnis_sinclair_has_a_density_per_pair_of_elements():
    lines = SMALL.decode().split("\n")
    text = "\n".join([*lines[:8], "1.5 2.5", *lines[8:12], "5.5 6.5", *lines[12:]])
    found = read_setfl(ALLOY.model_copy(update={"style": "eam/fs"}), text.encode())
    # those of one source, copper, at copper and at nickel
    np.testing.assert_array_equal(found.density[:, 0], [[1, 2], [1.5, 2.5]])
    np.testing.assert_array_equal(found.density[:, 1], [[5, 6], [5.5, 6.5]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SMALL[:-8], "too early"),
        (SMALL + b"13 14\n", "more in it"),
        (SMALL.replace(b"0 -1 -2", b"0 -1 -2 -3"), "does not end with its line"),
        (SMALL.replace(b"2 Cu Ni", b"3 Cu Ni"), "2 elements where 3"),
        (SMALL.replace(b"9 10", b"9 ten"), "ten"),
        (b"", "too early"),
    ],
)
def test_what_is_no_such_file_is_refused(data, message):
    with pytest.raises(SpecError, match=message) as caught:
        read_setfl(ALLOY, data)
    assert caught.value.place == "CuNi.eam.alloy"


def test_the_wrong_style_is_refused():
    with pytest.raises(SpecError, match="cannot be read as eam/fs"):
        read_setfl(ALLOY.model_copy(update={"style": "eam/fs"}), SMALL)


def test_a_spec_is_pinned_to_the_content(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "CuNi.eam.alloy").write_bytes(SMALL)
    baseline = BaselineSpec(style="eam/alloy", file="files/CuNi.eam.alloy")
    spec, tables = find_baseline(AniSpec(kind="ani", baseline=baseline), tmp_path, None)
    assert spec.baseline == tables.spec
    assert (tables.spec.file, len(tables.spec.sha256)) == ("CuNi.eam.alloy", 64)
    pinned = ModelSpec(baseline=tables.spec)
    assert find_baseline(pinned, tmp_path, tmp_path / "files")[0] == pinned
    (tmp_path / "files" / "CuNi.eam.alloy").write_bytes(SMALL + b"\n")
    with pytest.raises(SpecError, match="has changed"):
        find_baseline(pinned, tmp_path, tmp_path / "files")
    with pytest.raises(SpecError, match="no potential file") as caught:
        find_baseline(pinned, Path("elsewhere"), None)
    assert caught.value.place == "model.baseline.file"

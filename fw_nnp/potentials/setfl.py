"""EAM tables in LAMMPS' setfl format: styles ``eam/alloy`` and ``eam/fs``.

    E = sum_i F_i(rho_i) + 1/2 sum_ij phi_ij(r_ij) ,   rho_i = sum_j f_ij(r_ij) ,

where f_ij is the density that j brings to i; in ``eam/alloy`` it depends on the element of j only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fw_nnp.core.errors import SpecError
from fw_nnp.core.records import FloatArray
from fw_nnp.core.specs import AnyModelSpec, BaselineSpec

from .lammps import find_file

_REMEDY = "give a file in setfl format, as pair_style eam/alloy or eam/fs of LAMMPS reads it"


@dataclass(frozen=True, kw_only=True, eq=False)
class Setfl:
    """What a file says, for its Z elements.

    Attributes
    ----------
    spec
        Style, name and sha256 of the file.
    data
        The file itself.
    elements
        In the order of the file.
    cutoff
        Å.
    d_rho, d_r
        Steps of the tables, those of distances in Å; all tables begin at 0.
    embedding
        (Z, n_rho) eV.
    density
        (Z, Z, n_r): what a neighbour of the second element brings to an atom of the first.
    pair
        (Z, Z, n_r) r phi, eV Å.
    """

    spec: BaselineSpec
    data: bytes
    elements: list[str]
    cutoff: float
    d_rho: float
    d_r: float
    embedding: FloatArray
    density: FloatArray
    pair: FloatArray


def find_baseline(
    spec: AnyModelSpec, base: Path, potentials_dir: Path | None
) -> tuple[AnyModelSpec, Setfl | None]:
    """The spec with name and sha256 of the file of its baseline, and what is in the file.

    Parameters
    ----------
    base
        Folder where relative file names are looked up first.
    potentials_dir
        LAMMPS' own folder of potentials, looked up second.

    Raises
    ------
    SpecError
        No such file, or it cannot be read.
    """
    if spec.baseline is None:
        return spec, None
    path = find_file(spec.baseline.file, base, potentials_dir, place="model.baseline.file")
    named = spec.baseline.model_copy(update={"file": path.name})
    tables = read_setfl(named, path.read_bytes())
    return spec.model_copy(update={"baseline": tables.spec}), tables


def read_setfl(spec: BaselineSpec, data: bytes) -> Setfl:
    """The tables of a file that holds `data`.

    Raises
    ------
    SpecError
        It is not in the format, or not the file that `spec` names by its sha256.
    """
    found = hashlib.sha256(data).hexdigest()
    if spec.sha256 not in ("", found):
        raise SpecError(
            f"the content of the file has changed: sha256 {found[:12]}..., not {spec.sha256}",
            place=spec.file,
            remedy="put the old file back, or take its sha256 out of the baseline",
        )
    try:
        return _read(spec.model_copy(update={"sha256": found}), data)
    except (ValueError, StopIteration, IndexError) as error:
        raise SpecError(
            f"cannot be read as {spec.style}: {str(error) or 'it ends too early'}",
            place=spec.file,
            remedy=_REMEDY,
        ) from error


def _read(spec: BaselineSpec, data: bytes) -> Setfl:
    lines = iter(data.splitlines()[3:])  # after the comments
    count, *elements = next(lines).split()
    if int(count) != len(elements):
        raise ValueError(f"{len(elements)} elements where {int(count)} are announced")
    z = len(elements)
    sizes = next(lines).split()
    n_rho, n_r = int(sizes[0]), int(sizes[2])
    d_rho, d_r, cutoff = float(sizes[1]), float(sizes[3]), float(sizes[4])
    embedding = np.empty((z, n_rho))
    density, pair = np.empty((z, z, n_r)), np.empty((z, z, n_r))
    for source in range(z):
        next(lines)  # atomic number, mass, lattice
        embedding[source] = _numbers(lines, n_rho)
        if spec.style == "eam/alloy":
            density[:, source] = _numbers(lines, n_r)
        else:
            for target in range(z):
                density[target, source] = _numbers(lines, n_r)
    for first in range(z):
        for second in range(first + 1):
            pair[first, second] = pair[second, first] = _numbers(lines, n_r)
    if any(line.strip() for line in lines):
        raise ValueError("there is more in it than its tables")
    return Setfl(
        spec=spec,
        data=data,
        elements=[element.decode() for element in elements],
        cutoff=cutoff,
        d_rho=d_rho,
        d_r=d_r,
        embedding=embedding,
        density=density,
        pair=pair,
    )


def _numbers(lines: Iterator[bytes], count: int) -> FloatArray:
    """The next `count` numbers, which fill whole lines."""
    words: list[bytes] = []
    while len(words) < count:
        words += next(lines).split()
    if len(words) > count:
        raise ValueError(f"a table of {count} numbers does not end with its line")
    return np.array([float(word) for word in words])

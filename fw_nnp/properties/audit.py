"""Do energies, forces and stresses of a dataset belong together?

Between two similar configurations the energy difference is the work of the forces and of the
stress. Over many pairs a fit tells how far each counts for what it claims: factors of 1 for both
and no pressure beside them. A stress with the wrong sign has the factor -1, one of another level
of theory (or with an ideal-gas part) leaves a constant pressure.

The trapezoid rule between two configurations errs in the third order of the way. The part of it
that does not average out is fitted beside them: displaced atoms cost less energy in a larger
volume, which would otherwise pass for a pressure.

Crystals that differ by a small shear alone are few, and a fit does not see them; of each pair of
them the stiffness that the stresses show is compared with that of the energies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fw_nnp.core.records import Configuration, FloatArray, LabelledConfiguration
from fw_nnp.core.units import GPA

MAX_SHIFT = 0.6  # Å: a longer way of an atom is no small step
MAX_STRAIN = 0.12
NEIGHBOURS = 3  # pairs per configuration: with those nearest to it
MIN_PAIRS = 12
NET_FORCE = 0.02  # eV/Å
NOTICEABLE = 0.15  # of a factor
OFFSET_GPA = 1.0
SHEARED = 0.03  # largest strain between two crystals whose stiffness is compared
STILL = 0.02  # Å that an atom may move beside it
SHEAR_GPA = 0.1  # a smaller error of a shear stress may be the mesh of k-points
SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the labels of a dataset say about each other.

    Attributes
    ----------
    n_pairs
        Pairs of similar configurations; with fewer than 12 nothing is said about work.
    force_factor, stress_factor
        What forces and stress are to be multiplied by to do the work that the energies show;
        None without such pairs.
    force_error, stress_error
        Their standard errors.
    n_shears, contradicting_shears
        Pairs of crystals that differ by a shear alone, and those of them whose stresses and
        energies show stiffnesses that differ by more than half.
    offset_GPa, offset_error_GPa
        Constant pressure between stress labels and energies (stress + offset fits), and its
        standard error; with forces and stress at their word, unless their factors are wrong.
    largest_net_force
        eV/Å, over all configurations.
    findings
        What a person should look at; empty where all is well.
    points
        For a figure: quantity with its unit -> (by forces and stress, by the energies) per pair.
    """

    n_configurations: int
    n_pairs: int
    n_shears: int
    contradicting_shears: int
    force_factor: float | None
    force_error: float | None
    stress_factor: float | None
    stress_error: float | None
    offset_GPa: float | None
    offset_error_GPa: float | None
    largest_net_force: float
    findings: tuple[str, ...]
    points: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)


def audit(items: Sequence[LabelledConfiguration]) -> Audit:
    """Audit labels that come with forces; stresses where they are there."""
    net = max(
        (
            float(np.abs(item.label.forces.sum(axis=0)).max())
            for item in items
            if item.label.forces is not None
        ),
        default=0.0,
    )
    pairs = _pairs(items)
    rows = [_work(items[i], items[j]) for i, j in pairs]
    shears = [shear for i, j in pairs if (shear := _shear(items, i, j)) is not None]
    contradicting = [shear for shear in shears if shear.contradicts]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]} if rows else {}
    fit = _fit(columns) if len(rows) >= MIN_PAIRS else {}
    if "volume" in fit and not any(map(_wrong, (fit.get("forces"), fit.get("stress")))):
        fit["volume"] = _constant_pressure(columns)
    offset, offset_error = fit.get("volume", (None, None))
    force, force_error = fit.get("forces", (None, None))
    stress, stress_error = fit.get("stress", (None, None))
    return Audit(
        n_configurations=len(items),
        n_pairs=len(rows),
        n_shears=len(shears),
        contradicting_shears=len(contradicting),
        force_factor=force,
        force_error=force_error,
        stress_factor=stress,
        stress_error=stress_error,
        offset_GPa=None if offset is None else offset / GPA,
        offset_error_GPa=None if offset_error is None else offset_error / GPA,
        largest_net_force=net,
        findings=(*_findings(fit, net, len(rows)), *_shear_findings(contradicting, len(shears))),
        points={"work (meV/atom)": _points(columns)} if rows else {},
    )


def _findings(fit: Mapping[str, tuple[float, float]], net: float, pairs: int) -> list[str]:
    found = []
    if net > NET_FORCE:
        found.append(f"forces of one configuration add up to {net:.3g} eV/Å instead of zero")
    if pairs < MIN_PAIRS:
        found.append(f"only {pairs} pairs of similar configurations: nothing said about work")
    for name in ("forces", "stress"):
        if _wrong(fit.get(name)):
            found.append(
                f"the energies ask for {fit[name][0]:.2f} ± {fit[name][1]:.2f} times the {name}: "
                "a sign or a unit is wrong, or they are of another level of theory"
            )
    if "volume" in fit:
        offset, error = (value / GPA for value in fit["volume"])
        if abs(offset) > max(OFFSET_GPA, 4.0 * error):
            found.append(
                f"stress and energy differ by a constant {offset:+.2f} ± {error:.2f} GPa: "
                "a Pulay stress, an ideal-gas part, or another cutoff"
            )
    return found


def _wrong(factor: tuple[float, float] | None) -> bool:
    """Whether a fitted factor of forces or stress is not 1, beyond its error."""
    return factor is not None and abs(factor[0] - 1.0) > max(NOTICEABLE, 4.0 * factor[1])


def _points(columns: Mapping[str, FloatArray]) -> tuple[tuple[float, float], ...]:
    claimed = 1e3 * (columns["forces"] + columns["stress"])
    return tuple(zip(claimed.tolist(), (1e3 * columns["energy"]).tolist(), strict=True))


@dataclass(frozen=True)
class _Shear:
    """Two crystals that differ by a shear: numbers of the items, stiffness in GPa by both ways.

    `by_energy` counts from the stress of the first: 2 (ΔE/V - σ : ε) / ε².
    """

    first: int
    second: int
    strain: float
    by_stress: float
    by_energy: float

    @property
    def contradicts(self) -> bool:
        apart = abs(self.by_stress - self.by_energy)
        return apart > 0.5 * abs(self.by_energy) and apart * self.strain > SHEAR_GPA

    @property
    def in_sign(self) -> bool:
        """The energy rises, and the stress pulls along."""
        return self.by_stress < 0.0 < self.by_energy


def _shear(items: Sequence[LabelledConfiguration], i: int, j: int) -> _Shear | None:
    """The pair, if it differs by a shear alone; a constant pressure then does no work.

    The first is the one with less shear stress, nearer to the crystal at rest.
    """
    i, j = sorted((i, j), key=lambda number: _shear_stress(items[number]))
    a, b = items[i], items[j]
    if a.label.stress is None or b.label.stress is None:
        return None
    shift, strain = _between(a.configuration, b.configuration)
    size = float(np.sqrt((strain**2).sum()))
    moved = float(np.linalg.norm(shift, axis=1).max())
    if moved > STILL or not 1e-3 < size < SHEARED or abs(np.trace(strain)) > 0.1 * size:
        return None
    volume = 0.5 * (a.configuration.volume + b.configuration.volume)
    change = (b.label.energy - a.label.energy) / volume
    linear = float((a.label.stress * strain).sum())
    rise = float(((b.label.stress - a.label.stress) * strain).sum())
    scale = size**2 * GPA
    return _Shear(i, j, size, rise / scale, 2.0 * (change - linear) / scale)


def _shear_stress(item: LabelledConfiguration) -> float:
    """Size of the stress beside its pressure, eV/Å³."""
    if item.label.stress is None:
        return 0.0
    pressure = np.trace(item.label.stress) / 3.0 * np.eye(3)
    return float(np.abs(item.label.stress - pressure).max())


def _shear_findings(shears: Sequence[_Shear], count: int) -> list[str]:
    """One sentence, with the frames that are in most of the contradictions first."""
    if not shears:
        return []
    flipped = [shear for shear in shears if shear.in_sign]
    worst = max(flipped or shears, key=lambda s: abs(s.by_stress - s.by_energy) * s.strain)
    often = Counter(shear.second for shear in flipped or shears)
    frames = ", ".join(str(i) for i, _ in often.most_common(SHOWN))
    seen = f"from frame {worst.first} to {worst.second}"
    return [
        f"{len(shears)} of {count} pairs of sheared crystals contradict their energies, "
        f"{len(flipped)} of them in sign: {seen} the stresses show {worst.by_stress:.1f} GPa and "
        f"the energies {worst.by_energy:.1f} GPa. Look at the frames {frames}: order or sign of "
        "the shear stresses, or too coarse a mesh of k-points"
    ]


def _pairs(items: Sequence[LabelledConfiguration]) -> list[tuple[int, int]]:
    """Pairs of near configurations."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, item in enumerate(items):
        if item.label.forces is not None and all(item.configuration.pbc):
            groups.setdefault(tuple(item.configuration.symbols), []).append(i)
    pairs = {pair for group in groups.values() for pair in _near(items, group)}
    return sorted(pairs)


def _near(items: Sequence[LabelledConfiguration], group: list[int]) -> set[tuple[int, int]]:
    """Pairs of one group: each configuration with those nearest to it."""
    cells, scaled = _stacked([items[i].configuration for i in group])
    pairs = set()
    for here, i in enumerate(group):
        shift, strain = _ways(cells, scaled, here)
        far = np.linalg.norm(shift, axis=2).max(axis=1) > MAX_SHIFT
        far |= np.abs(strain).max(axis=(1, 2)) >= MAX_STRAIN
        far[here] = True
        way = np.where(far, np.inf, (shift**2).mean(axis=(1, 2)) + (strain**2).sum(axis=(1, 2)))
        near = np.argsort(way, kind="stable")[:NEIGHBOURS]
        pairs |= {(min(i, group[k]), max(i, group[k])) for k in near if not far[k]}
    return pairs


def _between(first: Configuration, second: Configuration) -> tuple[FloatArray, FloatArray]:
    """Way of the atoms beyond the strain, (N, 3) Å, and the strain from mean to mean, (3, 3)."""
    shift, strain = _ways(*_stacked([first, second]), 0)
    return shift[1], strain[1]


def _stacked(configurations: Sequence[Configuration]) -> tuple[FloatArray, FloatArray]:
    """Cells (n, 3, 3) and scaled positions (n, N, 3) of configurations of as many atoms."""
    scaled = [np.linalg.solve(c.cell.T, c.positions.T).T for c in configurations]
    return np.stack([c.cell for c in configurations]), np.stack(scaled)


def _ways(cells: FloatArray, scaled: FloatArray, here: int) -> tuple[FloatArray, FloatArray]:
    """`_between` from one configuration to each: (n, N, 3) Å and (n, 3, 3)."""
    mean = 0.5 * (cells[here] + cells)
    # a mirrored cell has no mean with this one: infinitely far
    apart = np.abs(np.linalg.det(mean)) < 0.1 * abs(np.linalg.det(cells[here]))
    mean[apart] = cells[here]
    step = scaled - scaled[here]
    step -= np.round(step)
    step -= step.mean(axis=1, keepdims=True)  # a common translation does no work
    change = np.linalg.solve(mean, cells - cells[here])
    change[apart] = np.inf
    return step @ mean, 0.5 * (change + change.swapaxes(1, 2))


def _work(first: LabelledConfiguration, second: LabelledConfiguration) -> dict[str, float]:
    """Trapezoid rule between two configurations, eV per atom."""
    a, b = first.label, second.label
    shift, strain = _between(first.configuration, second.configuration)
    n = first.configuration.n_atoms
    volumes = [first.configuration.volume, second.configuration.volume]
    row = {"energy": (b.energy - a.energy) / n}
    assert a.forces is not None
    assert b.forces is not None
    row["forces"] = float(-0.5 * ((a.forces + b.forces) * shift).sum()) / n
    has_stress = a.stress is not None and b.stress is not None
    stresses = [a.stress, b.stress] if a.stress is not None and b.stress is not None else []
    row["stress"] = (
        sum(
            0.5 * volume * float((stress * strain).sum())
            for volume, stress in zip(volumes, stresses, strict=False)
        )
        / n
    )
    row["volume"] = (volumes[1] - volumes[0]) / n if has_stress else 0.0
    way = float((shift**2).mean())
    row["softening"] = way * float(np.trace(strain))
    # The error of the rule grows with the third power of the way.
    row["weight"] = 1.0 / (1e-3 + way + float((strain**2).sum())) ** 1.5
    return row


def _fit(columns: Mapping[str, FloatArray]) -> dict[str, tuple[float, float]]:
    """Factor and standard error of every part of the work that the pairs can tell."""
    return _explained(columns, ("forces", "stress", "volume"), columns["energy"])


def _constant_pressure(columns: Mapping[str, FloatArray]) -> tuple[float, float]:
    """The pressure that is missing where forces and stress do the work that they claim.

    Without their factors to fit, few pairs are enough, and those that contradict their energies
    hardly count; eV/Å³, with its standard error.
    """
    rest = columns["energy"] - columns["forces"] - columns["stress"]
    return _explained(columns, ("volume",), rest)["volume"]


def _explained(
    columns: Mapping[str, FloatArray], names: Sequence[str], target: FloatArray
) -> dict[str, tuple[float, float]]:
    """The columns' factors beside the error of the rule, if the pairs tell it from them."""
    beside = _least_squares(columns, (*names, "softening"), target)
    return beside or _least_squares(columns, names, target)


def _least_squares(
    columns: Mapping[str, FloatArray], names: Sequence[str], target: FloatArray
) -> dict[str, tuple[float, float]]:
    """Factors with standard errors of the columns that vary; none if they cannot be told apart."""
    names = [name for name in names if np.ptp(columns[name]) > 1e-6]
    if not names:
        return {}
    root = np.sqrt(columns["weight"])
    matrix = np.column_stack([columns[name] for name in names]) * root[:, None]
    sizes = np.linalg.norm(matrix, axis=0)
    matrix /= sizes
    factors, _, rank, _ = np.linalg.lstsq(matrix, target * root, rcond=1e-8)
    if rank < len(names):
        return {}
    left = target * root - matrix @ factors
    variance = float(left @ left) / max(len(left) - len(names), 1)
    errors = np.sqrt(np.diag(np.linalg.inv(matrix.T @ matrix)) * variance) / sizes
    factors /= sizes
    return {n: (float(f), float(e)) for n, f, e in zip(names, factors, errors, strict=True)}

"""What any potential must obey, over every registered model."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import nullcontext
from copy import deepcopy

import numpy as np
import pytest
import torch

from fw_nnp.core.errors import CheckpointMismatch, SpecError
from fw_nnp.core.records import Configuration
from fw_nnp.core.specs import ModelSpec
from fw_nnp.nnp import compiled, predict, prediction
from fw_nnp.nnp.artefact import FORMAT, build, load_model, save_model
from fw_nnp.nnp.batch import join
from fw_nnp.nnp.checkpoint import load, save
from fw_nnp.nnp.compiled import plain_torch
from fw_nnp.nnp.data import read_configuration

from .conftest import SMALL, random_cell, steep

PERIODICITIES = [(True, True, True), (True, True, False), (False, False, False)]


def changed(configuration, **changes):
    fields = {"cell", "positions", "numbers", "pbc"}
    return Configuration(**({f: getattr(configuration, f) for f in fields} | changes))


def rotation(seed):
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


@pytest.mark.parametrize("pbc", PERIODICITIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_forces_are_minus_the_slope_of_the_energy(model, seed, pbc):
    cell = random_cell(seed, pbc=pbc)
    (label,) = predict(model, [cell])
    h = 1e-4
    rng = np.random.default_rng(seed)
    for _ in range(3):
        direction = rng.normal(size=cell.positions.shape)
        moved = [
            changed(cell, positions=cell.positions + k * h * direction) for k in (-2, -1, 1, 2)
        ]
        e = [x.energy for x in predict(model, moved)]
        slope = (e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * h)
        expected = -(label.forces * direction).sum()
        assert slope == pytest.approx(expected, rel=1e-7, abs=1e-8)
    assert np.abs(label.forces).max() > 1e-3


@pytest.mark.parametrize("seed", [0, 1])
def test_stress_is_the_slope_of_the_energy_with_strain(model, seed):
    cell = random_cell(seed)
    (label,) = predict(model, [cell])
    h = 1e-5
    rng = np.random.default_rng(seed)
    for _ in range(3):
        strain = rng.normal(size=(3, 3))
        strain = 0.5 * (strain + strain.T)
        strained = []
        for k in (-2, -1, 1, 2):
            f = np.eye(3) + k * h * strain
            strained.append(changed(cell, cell=cell.cell @ f, positions=cell.positions @ f))
        e = [x.energy for x in predict(model, strained)]
        slope = (e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * h)
        assert slope == pytest.approx(cell.volume * (label.stress * strain).sum(), rel=1e-7)


def test_rotation_turns_forces_and_stress_with_the_cell(model):
    cell, turn = random_cell(2), rotation(5)
    rotated = changed(cell, cell=cell.cell @ turn, positions=cell.positions @ turn)
    a, b = predict(model, [cell, rotated])
    assert b.energy == pytest.approx(a.energy, abs=1e-10)
    np.testing.assert_allclose(b.forces, a.forces @ turn, atol=1e-10)
    np.testing.assert_allclose(b.stress, turn.T @ a.stress @ turn, atol=1e-11)


def test_mirror_image_has_the_same_energy(model):
    cell = random_cell(2)
    mirror = np.diag([-1.0, 1.0, 1.0])
    mirrored = changed(cell, cell=cell.cell @ mirror, positions=cell.positions @ mirror)
    a, b = predict(model, [cell, mirrored])
    assert b.energy == pytest.approx(a.energy, abs=1e-10)
    np.testing.assert_allclose(b.forces, a.forces @ mirror, atol=1e-10)


def test_translation_changes_nothing(model):
    cell = random_cell(4)
    shifted = changed(cell, positions=cell.positions + np.array([3.7, -11.2, 0.4]))
    a, b = predict(model, [cell, shifted])
    assert b.energy == pytest.approx(a.energy, abs=1e-10)
    np.testing.assert_allclose(b.forces, a.forces, atol=1e-10)
    np.testing.assert_allclose(a.forces.sum(axis=0), 0.0, atol=1e-11)


def test_permutation_and_species_order_permute_forces(model):
    cell = random_cell(6)
    order = np.random.default_rng(0).permutation(cell.n_atoms)
    shuffled = changed(cell, positions=cell.positions[order], numbers=cell.numbers[order])
    a, b = predict(model, [cell, shuffled])
    assert b.energy == pytest.approx(a.energy, abs=1e-10)
    np.testing.assert_allclose(b.forces, a.forces[order], atol=1e-10)


@pytest.mark.parametrize("n", [1, 5])
def test_supercell_doubles_the_energy(model, n):
    cell = random_cell(7, n=n)
    doubled = changed(
        cell,
        cell=cell.cell * [[2.0], [1.0], [1.0]],
        positions=np.concatenate([cell.positions, cell.positions + cell.cell[0]]),
        numbers=np.tile(cell.numbers, 2),
    )
    a, b = predict(model, [cell, doubled])
    assert b.energy == pytest.approx(2 * a.energy, abs=1e-9)
    np.testing.assert_allclose(b.forces[:n], a.forces, atol=1e-10)
    np.testing.assert_allclose(b.stress, a.stress, atol=1e-11)


def test_batch_equals_singles(model):
    cells = [random_cell(seed, n=1 + seed, pbc=PERIODICITIES[seed % 3]) for seed in range(7)]
    for one, cell in zip(predict(model, cells), cells, strict=True):
        (alone,) = predict(model, [cell])
        assert one.energy == pytest.approx(alone.energy, abs=1e-10)
        np.testing.assert_allclose(one.forces, alone.forces, atol=1e-10)
        assert (one.stress is None) == (not all(cell.pbc))
        if one.stress is not None:
            np.testing.assert_allclose(one.stress, alone.stress, atol=1e-11)


def test_single_atoms_feel_no_force(model):
    isolated = Configuration(
        cell=np.zeros((3, 3)), positions=np.ones((1, 3)), numbers=[13], pbc=(False, False, False)
    )
    periodic = Configuration(cell=np.eye(3) * 2.9, positions=np.ones((1, 3)), numbers=[13])
    far = changed(periodic, cell=np.eye(3) * 20.0)
    alone, dense, sparse = predict(model, [isolated, periodic, far])
    for label in (alone, dense, sparse):
        np.testing.assert_allclose(label.forces, 0.0, atol=1e-10)
    assert sparse.energy == pytest.approx(alone.energy, abs=1e-12)
    assert abs(dense.energy - alone.energy) > 1e-3
    np.testing.assert_allclose(sparse.stress, 0.0, atol=1e-14)


DIFFERENCES = {1: [0.0, -0.5, 0.0, 0.5, 0.0], 3: [-0.5, 1.0, 0.0, -1.0, 0.5]}
"""Central differences on five points, for derivatives of these orders."""


def test_energy_is_smooth_where_a_neighbour_crosses_the_cutoff(model):
    """The highest derivative that the model promises to be continuous tends to zero there."""
    order = model.smoothness

    def energies(centre, h):
        dimers = [
            Configuration(
                cell=np.zeros((3, 3)),
                positions=[[0.0, 0.0, 0.0], [0.0, 0.0, centre + k * h]],
                numbers=[13, 28],
                pbc=(False, False, False),
            )
            for k in range(-2, 3)
        ]
        return np.array([label.energy for label in predict(model, dimers)])

    def derivative(centre, h=0.01):
        return np.abs(energies(centre, h) @ DIFFERENCES[order]) / h**order

    assert np.ptp(energies(model.cutoff + 0.03, 0.01)) < 1e-13
    at, nearer = derivative(model.cutoff), derivative(model.cutoff, 0.0025)
    assert nearer < 0.3 * at  # of a jump both would be the same part
    inside = derivative(model.cutoff - 0.3)
    assert nearer < 0.2 * inside
    assert inside > 1e-6


@pytest.mark.parametrize(
    "keys",
    [{}, {"n_cubic": 0, "members": 2}, {"hidden": [7], "l_max": 0, "n_embedded": 0}],
)
def test_compiled_kernels_equal_plain_torch(keys):
    """Moments, forces, virials and what training takes from them, by both ways."""
    model = steep(build(ModelSpec(**{**SMALL, **keys}), ["Al", "Ni"], 3).double())
    cells = [random_cell(seed, n=1 + 2 * seed, pbc=PERIODICITIES[seed % 3]) for seed in range(4)]
    batch = join([read_configuration(model, c, torch.float64)[0] for c in cells])
    results = []
    for way in (nullcontext, plain_torch):
        with way():
            model.adapt(batch)
            found = list(model.evaluate(batch))
            scalar = sum(
                (x * torch.sin(torch.arange(x.numel()).view(x.shape))).sum() for x in found
            )
            slopes = torch.autograd.grad(scalar, list(model.parameters()))
            results.append([*found, model.pair_gradients(batch)[1], *slopes])
    for a, b in zip(*results, strict=True):
        assert a.numel() == 0 or a.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@pytest.fixture
def three_threads(monkeypatch):
    """Torch, and the kernels after it, on three threads."""
    monkeypatch.setattr(compiled, "_CORES", 3)
    monkeypatch.setattr(compiled, "LEAST_ATOMS", 1)
    compiled._pool.cache_clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


def test_any_number_of_threads_gives_the_same_bits(three_threads):
    model = build(ModelSpec(**SMALL), ["Al", "Ni"], 3)
    cells = [random_cell(seed, n=27) for seed in range(5)]
    batch = join([read_configuration(model, c, torch.float32)[0] for c in cells])
    results = []
    for n in (3, 2, 1):
        torch.set_num_threads(n)
        found = list(model.evaluate(batch))
        loss = found[1].square().sum() + found[2].sum()
        results.append([*found, *torch.autograd.grad(loss, list(model.parameters()))])
    for others in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], others, strict=True))


def test_cells_side_by_side_are_what_they_are_one_by_one(three_threads, monkeypatch):
    monkeypatch.setattr(prediction, "BATCH_ATOMS", 1)  # a group for every cell
    model = build(ModelSpec(**SMALL), ["Al", "Ni"], 3)
    cells = [random_cell(seed, n=3 + seed) for seed in range(7)]
    together = predict(model, cells, "thy-x")
    for cell, label in zip(cells, together, strict=True):
        (alone,) = predict(model, [cell], "thy-x")
        assert label.configuration_id == cell.id
        assert label.energy == alone.energy
        np.testing.assert_array_equal(label.forces, alone.forces)


def test_a_failure_side_by_side_ends_the_others(three_threads):
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.01)
        if item == 4:
            raise SpecError("four")
        return compiled._threads(1000)

    assert compiled.side_by_side(work, [1, 2, 3]) == [1, 1, 1]  # each with one thread
    with pytest.raises(SpecError, match="four"):
        compiled.side_by_side(work, list(range(100)))
    assert len(begun) < 20


def test_a_process_that_was_forked_off_has_threads_of_its_own(three_threads):
    def fill(first, last, out):
        time.sleep(0.05)  # so that every part has a thread of its own
        out[first:last] = np.arange(first, last)

    here, there = np.zeros(7), np.zeros(7)
    compiled.in_parts(fill, 7, here)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # it would wait for threads that only its parent has
        compiled.in_parts(fill, 7, there)
        os._exit(0 if (there == here).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(here, np.arange(7))


def test_training_differentiates_forces_and_stress(model):
    """Slopes of a loss on forces and virials, against central differences."""
    cells = [random_cell(seed, n=3 + seed) for seed in range(2)]
    batch = join([read_configuration(model, c, torch.float64)[0] for c in cells])
    model.train()

    def loss():
        _, forces, virials = model.evaluate(batch)
        return forces.square().sum() + (virials * torch.arange(9.0).view(3, 3)).sum()

    parameters = list(model.parameters())
    slopes = torch.autograd.grad(loss(), parameters, allow_unused=True)
    generator = torch.Generator().manual_seed(0)
    h = 1e-6
    for parameter, slope in zip(parameters, slopes, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        for sign in (1, -2, 1):
            with torch.no_grad():
                parameter.add_(direction, alpha=sign * h)
            values.append(float(loss().detach()))
        expected = 0.0 if slope is None else float((slope * direction).sum())
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_close_approach_is_repulsive(model):
    def dimer(distance):
        return Configuration(
            cell=np.zeros((3, 3)),
            positions=[[0.0, 0.0, 0.0], [0.0, 0.0, distance]],
            numbers=[13, 13],
            pbc=(False, False, False),
        )

    near, nearer = predict(model, [dimer(0.8), dimer(0.5)])
    assert nearer.energy > near.energy + 50.0
    assert nearer.forces[1, 2] > 100.0


def test_float32_agrees_with_float64(model):
    cells = [random_cell(seed) for seed in range(3)]
    model.reference += 1.0 / 3.0
    exact, rough = (predict(model, cells, precision=p) for p in ("double", "single"))
    for a, b in zip(exact, rough, strict=True):
        assert 0 < np.abs(a.forces - b.forces).max() < 1e-4 * np.abs(a.forces).max()
        np.testing.assert_allclose(b.stress, a.stress, rtol=0, atol=1e-4 * np.abs(a.stress).max())
        assert b.energy == pytest.approx(a.energy, rel=1e-5)
    again = predict(model, cells)  # the model itself has lost nothing
    assert [a.energy for a in again] == [a.energy for a in exact]


@pytest.mark.parametrize("quantity", ["energy", "forces", "stress"])
def test_float32_loses_no_more_than_rounded_constants_lose(model, quantity):
    # How rounding errors add up depends on the processor, and energies cancel in their sum. What
    # must be lost is measured: double precision, with constants as rounded as float32 keeps them.
    cells = [random_cell(seed) for seed in range(24)]

    def found(asked, precision="double"):
        labels = predict(asked, cells, precision=precision)
        return np.array([np.ravel(getattr(label, quantity)) for label in labels])

    exact = found(model)
    rounded = [found(with_rounded_constants(model, seed)) - exact for seed in range(8)]
    lost = rms(found(model, "single") - exact)
    ratios = lost / (rms(np.concatenate(rounded, axis=1)) + 1e-6 * rms(exact))
    assert lost.min() > 0
    assert np.median(ratios) < 2
    assert ratios.max() < 20  # atoms that all but touch, where the network extrapolates


def rms(rows):
    return np.sqrt(np.mean(rows**2, axis=1))


@torch.no_grad()
def with_rounded_constants(model, seed):
    """A copy in double precision whose constants have errors of a rounding to float32."""
    generator = torch.Generator().manual_seed(seed)
    copy = deepcopy(model)
    for name, tensor in copy.state_dict().items():
        if tensor.is_floating_point() and name != "reference":
            share = 2.0 * torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) - 1.0
            tensor *= 1.0 + 2.0**-24 * share
    return copy


def test_unknown_element_and_coinciding_atoms_are_refused(model):
    with pytest.raises(SpecError, match="does not know Cu"):
        predict(model, [random_cell(0, elements=(29,))])
    cell = random_cell(0)
    twice = np.array(cell.positions)
    twice[1] = twice[0]
    with pytest.raises(SpecError, match="apart"):
        predict(model, [changed(cell, positions=twice)])


@pytest.mark.parametrize("model", ["moments"], indirect=True)
@pytest.mark.parametrize("earlier", [None, FORMAT - 1])
def test_model_files_that_would_be_computed_otherwise_are_refused(model, earlier, tmp_path):
    path = tmp_path / "model.pt"
    save_model(path, model, {})
    assert load_model(path).spec == model.spec
    content = load(path)
    card = json.loads(content["card"])
    del card["format"]
    if earlier is not None:
        card["format"] = earlier
    save(path, content | {"card": json.dumps(card)})
    with pytest.raises(
        CheckpointMismatch, match=rf"computes as in format {FORMAT}(?s:.*)train it again"
    ):
        load_model(path)

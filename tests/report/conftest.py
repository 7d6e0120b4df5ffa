"""An evaluation made up for the tests of the report: plausible aluminium, fixed seed."""

import numpy as np
import pytest

from fw_nnp.core.records import Configuration, Label, LabelledConfiguration
from fw_nnp.core.units import GPA
from fw_nnp.properties.elastic import CubicProperties
from fw_nnp.properties.errors import compare
from fw_nnp.properties.evaluation import (
    Cost,
    Evaluation,
    History,
    LabelCounts,
    QuarantinedLabel,
)
from fw_nnp.properties.pool import Pool

PHASES = ("solid", "interface", "liquid")


def noisy(rng, reference, energy, force, stress):
    """Labels that miss the reference by given standard deviations (eV/atom, eV/Å, GPa)."""
    labels = []
    for item in reference:
        n = item.configuration.n_atoms
        grow = 1.0 + PHASES.index(item.phase) / 2
        noise = rng.normal(size=(3, 3)) * stress * GPA * grow
        labels.append(
            Label(
                configuration_id=item.configuration.id,
                theory_id="thy-made",
                energy=item.label.energy + n * rng.normal() * energy * grow,
                forces=item.label.forces + rng.normal(size=(n, 3)) * force * grow,
                stress=item.label.stress + (noise + noise.T) / 2,
            )
        )
    return labels


def held_out(rng):
    reference = []
    for i in range(24):
        level = i % 3
        configuration = Configuration(
            cell=np.eye(3) * (8.1 + 0.2 * level),
            positions=rng.uniform(0, 8, size=(32, 3)),
            numbers=[13] * 32,
        )
        strain = rng.normal(size=(3, 3)) * GPA * (1 + level)
        label = Label(
            configuration_id=configuration.id,
            theory_id="thy-made",
            energy=32 * (-537.4 + 0.08 * level + 0.02 * rng.normal()),
            forces=rng.normal(size=(32, 3)) * (0.3 + 0.4 * level),
            stress=(strain + strain.T) / 2,
        )
        reference.append(
            LabelledConfiguration(configuration=configuration, label=label, phase=PHASES[level])
        )
    return reference


def made_pool(rng):
    level = rng.integers(0, 3, size=600)
    volume = 16.6 + 1.1 * level + rng.normal(size=600) * 0.25
    temperature = 400 + 600 * level + rng.normal(size=600) * 120
    energy = -3.35 + 0.12 * level + rng.normal(size=600) * 0.02
    return Pool(
        frames={p: int((level == i).sum()) for i, p in enumerate(PHASES)},
        selected=dict.fromkeys(PHASES, 20),
        temperature=tuple(temperature.tolist()),
        volume=tuple(volume.tolist()),
        energy=tuple(energy.tolist()),
        phase=tuple(PHASES[i] for i in level),
        chosen=tuple(bool(i % 10 == 0) for i in range(600)),
    )


def made_history(stage, labels, epochs, start, end):
    epoch = np.arange(1, epochs + 1)
    decay = end + (start - end) * np.exp(-6 * epoch / epochs)
    return History(
        stage=stage,
        labels=labels,
        epoch=tuple(epoch.tolist()),
        errors={
            "energy_meV_atom": tuple((decay / 12).tolist()),
            "force_meV_A": tuple(decay.tolist()),
            "stress_GPa": tuple((decay / 200).tolist()),
        },
    )


def cubic(a0, c11, c12, c44):
    return CubicProperties(
        a0=a0, c11=c11, c12=c12, c44=c44, bulk_modulus=(c11 + 2 * c12) / 3,
        energy_per_atom=-3.4, eos_residual=0.02, labels=("lbl-1",),
    )  # fmt: skip


def made_evaluation():
    rng = np.random.default_rng(7)
    reference = held_out(rng)
    good = compare(reference, noisy(rng, reference, 1.8e-3, 0.026, 0.09))
    return Evaluation(
        campaign="al_quickstart",
        description="Aluminium from melt to elastic constants at DFT level.",
        created="2026-11-23T09:30:00+00:00",
        version="0.1.0",
        dataset_id="set-5d9bd1a4c80e47fb9a2f4b7b0a5c1e77",
        model_id="mdl-0e1f6a2bb2d94b55a0fb0b6a3c7f9d10",
        theory_id="thy-77aa01b2c3d4e5f60718293a4b5c6d7e",
        model_path="al_quickstart/model.pt",
        empirical="EAM (Al_mm)",
        theory={
            "code": "espresso",
            "settings": {"ecutwfc": 25.0, "k_spacing": 0.25, "smearing": "mv", "degauss": 0.02},
        },
        settings={"select": {"method": "farthest_point"}, "train": {"seed": 1}},
        labels=LabelCounts(
            total=118,
            by_phase={"solid": 40, "interface": 38, "liquid": 40},
            by_split={"train": 82, "validation": 12, "test": 24},
            low=1840,
        ),
        test_errors={
            "potential": good,
            "eam": compare(reference, noisy(rng, reference, 9e-3, 0.11, 0.5)),
        },
        stage_errors={
            "transfer": compare(reference, noisy(rng, reference, 2.5e-3, 0.034, 0.3)),
            "finetune": good,
        },
        energy_shift={"Al": -534.0512},
        properties={
            "potential": cubic(4.0391, 109.8, 62.2, 33.9),
            "dft": cubic(4.0405, 112.4, 61.0, 32.8),
            "eam": cubic(4.0453, 110.2, 61.4, 32.7),
        },
        quarantined=(
            QuarantinedLabel(
                configuration_id="cfg-00aa11bb22cc33dd44ee55ff66778899",
                error_class="geometry",
                reason="Atoms 3 and 17 are 0.91 Å apart, below 0.6 of the covalent distance.",
            ),
            QuarantinedLabel(
                configuration_id="cfg-99aa11bb22cc33dd44ee55ff66778800",
                error_class="scf_not_converged",
                reason="No self-consistency within 100 iterations in 3 attempts.",
            ),
        ),
        histories=(
            made_history("pretrain", "low", 60, 400, 22),
            made_history("transfer", "high", 120, 120, 40),
            made_history("finetune", "high", 80, 60, 31),
        ),
        costs={
            "sample": Cost(wall_s=41.2, core_s=41.2, items=1840, unit="frame"),
            "relabel": Cost(wall_s=402.0, core_s=790.0, items=118, unit="label"),
            "collect": Cost(wall_s=1.2, core_s=1.2),
            "train": Cost(wall_s=221.0, core_s=436.0, items=260, unit="epoch"),
            "evaluate": Cost(wall_s=64.0, core_s=128.0, items=10, unit="label"),
        },
        pool=made_pool(rng),
    )


@pytest.fixture(scope="session")
def evaluation():
    return made_evaluation()

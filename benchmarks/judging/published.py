"""Published numbers that the tables are compared with.

NICKEL_STAGE_2: G. S. Jung, APL Mach. Learn. 2, 046102 (2024), the author's published weights
(stage 2) measured on fresh trajectories of the same EAM. The others: Y. Zuo et al., J. Phys.
Chem. A 124, 731 (2020), mean absolute errors on the test sets of mlearn, and elastic constants.
"""

NICKEL_STAGE_2 = {
    "a0": 3.5137,
    "c11": 236.1,
    "c12": 153.3,
    "c44": 134.5,
    "bcc - fcc": 41.0,
    "hcp - fcc": 13.9,
    "vacancy": 1.836,
    "tangent jump": 58.0,
    "300 K": {"energy_meV_atom": 1.00, "force_meV_A": 13.7, "stress_GPa": 0.107},
    "1600 K": {"energy_meV_atom": 0.29, "force_meV_A": 23.6, "stress_GPa": 0.086},
    "liquid 2200 K": {"energy_meV_atom": 0.44, "force_meV_A": 37.3, "stress_GPa": 0.066},
}

MLEARN_ERRORS: dict[str, dict[str, tuple[float | None, float | None]]] = {
    "Ni": {
        "GAP": (0.42, 20.0),
        "MTP": (0.48, 14.0),
        "BP-NNP": (1.36, 30.0),
        "SNAP": (0.78, 38.0),
        "qSNAP": (0.78, 31.0),
    },
    "Cu": {
        "GAP": (0.46, 10.0),
        "MTP": (0.41, 6.9),
        "BP-NNP": (1.13, 26.0),
        "SNAP": (0.53, 37.0),
        "qSNAP": (0.56, 24.0),
    },
    "Mo": {
        "GAP": (2.24, 90.0),
        "MTP": (2.94, 90.0),
        "BP-NNP": (3.64, 125.0),
        "SNAP": (5.48, 206.0),
        "qSNAP": (2.77, 184.0),
    },
    "Li": {"MTP": (0.49, None), "SNAP": (1.03, 28.0), "qSNAP": (0.73, 33.0)},
}
"""Element -> potential -> energy meV/atom and force component meV/Å."""

MLEARN_ELASTIC: dict[str, dict[str, tuple[float, float, float]]] = {
    "Ni": {"DFT": (276.0, 159.0, 132.0)},
    "Mo": {
        "DFT": (472.0, 158.0, 106.0),
        "MTP": (472.0, 155.0, 103.0),
        "BP-NNP": (441.0, 192.0, 114.0),
    },
}
"""Element -> potential -> C11, C12, C44 in GPa."""

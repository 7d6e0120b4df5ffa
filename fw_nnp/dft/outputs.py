"""What a run left in a directory, found by what is in the files, whatever they are called."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

log = logging.getLogger(__name__)

Role = Literal[
    "pw_stdout", "pw_xml", "pw_old_xml", "vasprun", "outcar", "oszicar", "vasp_stdout", "text",
    "pw_input",
]  # fmt: skip

HEAD = 20_000  # bytes in which a file says what it is
MOST = 200_000_000  # bytes of a text that are read: more is no output but data
SKIPPED = {".json", ".yaml", ".yml", ".md", ".py", ".upf", ".sh", ".tar", ".db", ".dat", ".hdf5"}
# Inputs and bulk data of VASP: what they say is no symptom.
VASP_DATA = re.compile(
    r"^(INCAR|KPOINTS|POSCAR|CONTCAR|POTCAR|CHG|CHGCAR|WAVECAR|DOSCAR|PROCAR|EIGENVAL|IBZKPT"
    r"|XDATCAR|PCDAT|LOCPOT|ELFCAR|REPORT|AECCAR\d)"
)
OUTCAR = re.compile(rb"^\s*vasp\.\d.*\n(.*\n){0,3}\s*executed on", re.MULTILINE)
OSZICAR = re.compile(rb"\A\s*N\s+E\s+dE\s+d eps\s+ncg\s+rms")
VASP_STDOUT = re.compile(
    rb"vasp\.\d\.|running on\s+\d+ (total cores|nodes)|distrk:|POSCAR found|entering main loop"
    rb"|WAVECAR not read|LDA part: xc-table"
)
# Printed by pw.x while it works: a standard output whose first lines are lost.
PW_WORDS = re.compile(
    rb"estimated scf accuracy|Self-consistent Calculation|iteration #\s*\d+\s+ecut"
)


@dataclass(frozen=True, kw_only=True)
class Output:
    """One file and its text."""

    path: Path
    role: Role
    text: str

    @property
    def name(self) -> str:
        return self.path.name

    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """All outputs in a directory.

    Attributes
    ----------
    given
        Whether an input of pw.x lies there, too.
    saved
        Whether a ``*.save`` folder of pw.x lies below it: its XML belongs there.
    """

    files: tuple[Output, ...]
    given: bool = False
    saved: bool = False

    def of(self, role: Role) -> tuple[Output, ...]:
        """Those of one role, in the order of their names."""
        return tuple(output for output in self.files if output.role == role)

    def last(self, role: Role) -> Output | None:
        """The last of one role; a ``*.save`` folder of pw.x comes last."""
        found = self.of(role)
        return found[-1] if found else None


def find_outputs(directory: Path) -> Outputs:
    """Read `directory`, and below it the XML files of pw.x.

    Earlier attempts of a repaired run (``attempt-1`` ...) are left out.
    """
    found = [output for path in _candidates(directory) if (output := read_output(path))]
    saves = (path for path in directory.glob("**/*.save") if path.is_dir())
    return Outputs(
        files=tuple(output for output in found if output.role != "pw_input"),
        given=any(output.role == "pw_input" for output in found),
        saved=any(not _earlier(path, directory) for path in saves),
    )


def _candidates(directory: Path) -> Iterator[Path]:
    yield from sorted(path for path in directory.iterdir() if path.is_file())
    below = [p for p in directory.glob("**/*.xml*") if p.parent != directory and p.is_file()]
    # The copy in *.save is the one that pw.x writes last.
    for path in sorted(below, key=lambda p: (p.parent.suffix == ".save", str(p))):
        if not _earlier(path, directory):
            yield path


def _earlier(path: Path, directory: Path) -> bool:
    """Whether it is of an earlier attempt."""
    return any(part.startswith("attempt-") for part in path.relative_to(directory).parts)


def read_output(path: Path) -> Output | None:
    """Read one file; None where it is neither output nor input (data, a script)."""
    packed = path.suffix.lower() == ".gz"
    plain = path.with_suffix("") if packed else path
    if plain.suffix.lower() in SKIPPED or VASP_DATA.match(plain.name):
        return None
    if path.stat().st_size > MOST:
        return None
    content = _content(path, packed=packed)
    if content is None or b"\0" in content[:HEAD]:
        return None
    role = _role(content, plain)
    text = content.decode(errors="replace")
    return Output(path=path, role=role, text=text) if role else None


def _content(path: Path, *, packed: bool) -> bytes | None:
    """Content of a file, as much of it as can be unpacked."""
    if not packed:
        return path.read_bytes()
    parts = []
    try:
        with gzip.open(path) as stream:
            while part := stream.read(1 << 20):
                parts.append(part)
    except (OSError, EOFError, zlib.error) as error:
        log.info("%s is cut off (%s): what was read is what there is", path, error)
    return b"".join(parts)


def _role(content: bytes, plain: Path) -> Role | None:
    head = content[:HEAD]
    if head.startswith(b"#!"):
        return None  # a script: what it may say, nobody said
    if b"<qes:espresso" in head or b"qes-1.0" in head:
        return "pw_xml"
    if b"<modeling>" in head:
        return "vasprun"
    if b"QEXML" in head or (b"<Root>" in head and plain.suffix == ".xml"):
        return "pw_old_xml"
    if plain.suffix == ".xml":
        return "vasprun" if plain.name.startswith("vasprun") else "pw_xml"
    if b"Program PWSCF" in head:
        return "pw_stdout"
    if OUTCAR.search(head) or plain.name.startswith("OUTCAR"):
        return "outcar"
    if OSZICAR.match(head) or plain.name.startswith("OSZICAR"):
        return "oszicar"
    if re.search(rb"^\s*&(control|system)\b", head, re.IGNORECASE | re.MULTILINE):
        return "pw_input"
    if VASP_STDOUT.search(head):
        return "vasp_stdout"
    if b"Program PWSCF" in content or PW_WORDS.search(content):
        return "pw_stdout"
    return "text"

"""Files and finished calculations of others into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fw_nnp.core.blocks import Block, blocks_of
from fw_nnp.core.errors import FwNnpError, SpecError
from fw_nnp.core.records import LabelledConfiguration
from fw_nnp.dft.finished import Calculation, is_output, read_calculations
from fw_nnp.dft.labeler import sha256
from fw_nnp.exchange import foreign_theory, load_description, read_labelled
from fw_nnp.exchange.deepmd import is_system
from fw_nnp.store.schema import PHASES
from fw_nnp.store.store import Store

BLOCK = 1_000


@dataclass(kw_only=True)
class Imported:
    """How many labels were read, how many of them were new, at how many levels of theory."""

    labels: int = 0
    new: int = 0
    theories: int = 0


def import_path(
    store: Store,
    path: Path,
    *,
    campaign: str,
    purpose: str,
    description: Path | None,
    left_out: Callable[[FwNnpError], None],
) -> Imported:
    """Import a data file, a DeePMD folder, a folder with calculations or one output of them.

    Parameters
    ----------
    left_out
        Called with the reason for every calculation that is not imported.
    """
    of_deepmd = path.is_dir() and is_system(path)
    if (path.is_dir() and not of_deepmd) or (path.is_file() and is_output(path)):
        return _calculations(store, path, campaign, purpose, left_out)
    meaning = load_description(description) if description else None
    theory = foreign_theory(path, meaning)
    store.add_theory(theory)
    done = Imported(theories=1)
    counted = _counted(read_labelled(path, meaning), done)
    done.new = _add(store, counted, campaign, purpose, {"source": {"file": path.name}})
    return done


def _calculations(
    store: Store,
    folder: Path,
    campaign: str,
    purpose: str,
    left_out: Callable[[FwNnpError], None],
) -> Imported:
    done = Imported()
    theories = set()
    # The newest first: a campaign's level counts before what an earlier import stated.
    for found in read_calculations(folder, store.theories()[::-1]):
        if not isinstance(found, Calculation):
            left_out(found)
            continue
        store.add_theory(found.theory)
        theories.add(found.theory.id)
        name = found.path.name if folder.is_file() else str(found.path.relative_to(folder))
        source = {"file": name, "sha256": sha256(found.path)}
        items = _counted(found.items, done)
        done.new += _add(store, items, campaign, purpose, {"source": source})
    if not done.labels:
        raise SpecError(
            "no finished calculation below it",
            place=str(folder),
            remedy="it should hold vasprun.xml, OUTCAR, or XML or standard outputs of pw.x",
        )
    done.theories = len(theories)
    return done


def _add(
    store: Store,
    items: Iterable[LabelledConfiguration],
    campaign: str,
    purpose: str,
    provenance: dict[str, Any],
) -> int:
    blocks: Iterator[Block] = blocks_of(items, BLOCK)
    return store.add_blocks(
        blocks, campaign=campaign, purpose=purpose, sampler="import", provenance=provenance
    )


def _counted(
    items: Iterable[LabelledConfiguration], done: Imported
) -> Iterator[LabelledConfiguration]:
    for item in items:
        done.labels += 1
        # Others call other things phases: fcc, beta ...
        yield item if item.phase in PHASES else replace(item, phase="")

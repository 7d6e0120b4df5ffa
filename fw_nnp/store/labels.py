"""Configurations, levels of theory and labels in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from fw_nnp.core.blocks import Block, block_of
from fw_nnp.core.errors import LabelConflict, NotFound, SpecError
from fw_nnp.core.hashing import digest
from fw_nnp.core.records import (
    Frame,
    Label,
    LabelledConfiguration,
    LevelOfTheory,
    label_id,
)
from fw_nnp.core.units import GPA

from .base import Document
from .columns import Table, tables
from .documents import (
    frame_document,
    frame_of,
    label_of,
    labelled_of,
    theory_document,
)
from .indexed import counted_by, indexed
from .query import Filter, parse_query
from .rows import Rows, block_rows, decoded
from .schema import PHASES
from .shelf import BATCH, Shelf, batches

#: Two answers to one question that differ by less are the same answer.
ENERGY_TOLERANCE = 1e-4  # eV/atom
FORCE_TOLERANCE = 5e-3  # eV/Å
STRESS_TOLERANCE = 0.1  # GPa
_CONNECTIONS = 4  # writing at once: the server does most of the work, one thread for each
_COLUMNS = (
    "configuration", "theory", "trajectory", "phase", "energy",
    "forces", "stress", "cell", "positions", "numbers", "pbc",
)  # fmt: skip


class Labels(Shelf):
    """Questions and answers: configurations, levels of theory, labels."""

    # ------------------------------------------------------------ configurations

    def add_frames(self, frames: Iterable[Frame], *, campaign: str) -> int:
        """Keep frames; returns how many configurations were new."""
        documents = (frame_document(frame) for frame in frames)
        return len(self._documents.add("configurations", documents, join={"campaign": campaign}))

    def frames(self, filter_: Mapping[str, Any]) -> Iterator[Frame]:
        """Stream frames, in the order of their ids."""
        for document in self._documents.find("configurations", filter_, sort="_id"):
            yield frame_of(document)

    def frames_of(self, configuration_ids: Sequence[str]) -> list[Frame]:
        """The frames of these configurations, in the same order.

        Raises
        ------
        NotFound
        """
        found: dict[str, Frame] = {}
        for batch in batches(configuration_ids):
            for document in self._documents.find("configurations", {"_id": {"$in": batch}}):
                found[document["_id"]] = frame_of(document)
        missing = [i for i in configuration_ids if i not in found]
        if missing:
            raise NotFound(f"{len(missing)} configurations are not in the store", place=missing[0])
        return [found[i] for i in configuration_ids]

    # ------------------------------------------------------------ theories

    def add_theory(self, theory: LevelOfTheory) -> None:
        """Keep a level of theory."""
        self._documents.add("theories", [theory_document(theory)])

    def theory(self, theory_id: str) -> LevelOfTheory:
        """The level of theory of that fingerprint."""
        document = self._one("theories", theory_id)
        return LevelOfTheory(code=document["code"], settings=document["settings"])

    def theories(self) -> list[LevelOfTheory]:
        """All levels of theory, oldest first."""
        return [
            LevelOfTheory(code=document["code"], settings=document["settings"])
            for document in self._documents.find("theories", {}, sort="created")
        ]

    # ------------------------------------------------------------ labels in

    def add_labels(
        self, items: Iterable[tuple[Frame, Label]], *, campaign: str, purpose: str
    ) -> int:
        """Keep labels of frames that are kept; returns how many were new.

        Parameters
        ----------
        purpose
            ``pool`` (empirical labels of all samples), ``training`` or ``reference``.

        Raises
        ------
        LabelConflict
            A label exists and its answer differs by more than 0.1 meV/atom, 5 meV/Å or 0.1 GPa;
            the second answer is kept in the collection ``conflicts``. All others are kept first.
        """
        new, conflicts = 0, Conflicts()
        stream = iter(items)
        join = {"campaign": campaign, "purpose": purpose}
        while batch := list(islice(stream, BATCH)):
            for block, frames in _blocks(batch):
                for _, labels in block_rows(block, self._code(block), frames, _lists(join)):
                    new += self._keep_labels(labels, join, conflicts)
        conflicts.refuse()
        return new

    def add_blocks(
        self,
        blocks: Iterable[Block],
        *,
        campaign: str,
        purpose: str,
        sampler: str,
        provenance: Mapping[str, Any] | None = None,
    ) -> int:
        """Keep whole blocks, configurations and labels; returns how many labels were new.

        While the server writes some pieces, each on a connection and a processor of its own,
        the next one is made ready.

        Raises
        ------
        LabelConflict
            As in `add_labels`.
        """
        frame = {
            "sampler": sampler,
            "temperature": 0.0,
            "step": 0,
            "time": 0.0,
            "provenance": dict(provenance or {}),
        }
        join = {"campaign": campaign, "purpose": purpose}
        new, conflicts = 0, Conflicts()
        writing: list[Future[int]] = []
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            for block in blocks:
                frames = [frame] * len(block)
                for both in block_rows(block, self._code(block), frames, _lists(join)):
                    if len(writing) == _CONNECTIONS:
                        new += writing.pop(0).result()
                    writing.append(pool.submit(self._keep, *both, join, conflicts))
            new += sum(future.result() for future in writing)
        conflicts.refuse()
        return new

    def _keep(
        self, configurations: Rows, labels: Rows, join: Mapping[str, str], conflicts: Conflicts
    ) -> int:
        """Configurations first, so that no label is ever without one."""
        self._documents.add_rows(
            "configurations",
            configurations.ids,
            configurations.data,
            join={"campaign": join["campaign"]},
        )
        return self._keep_labels(labels, join, conflicts)

    def _keep_labels(self, rows: Rows, join: Mapping[str, str], conflicts: Conflicts) -> int:
        """Add what is new and compare the rest with what is there, twins within the rows too."""
        first = {id_: i for i, id_ in reversed([*enumerate(rows.ids)])}
        data = [rows.data[i] for i in first.values()]
        new = set(self._documents.add_rows("labels", [*first], data, join=join))
        rest = [i for i, id_ in enumerate(rows.ids) if first[id_] != i or id_ not in new]
        second = decoded(b"".join(rows.data[i] for i in rest))
        self._compare([{k: v for k, v in d.items() if k not in join} for d in second], conflicts)
        return len(new)

    def _code(self, block: Block) -> str:
        wrong = sorted({*block.phases} - {*PHASES})
        if wrong:
            raise SpecError(
                f"'{wrong[0]}' is no phase",
                place="phase",
                remedy=f"phases: {', '.join(phase for phase in PHASES if phase)}, or none",
            )
        return self.theory(block.theory_ids[0]).code

    def claim_labels(
        self, configuration_ids: Sequence[str], theory_id: str, *, campaign: str, purpose: str
    ) -> list[str]:
        """Let a campaign share labels that exist; returns the configurations that lack one."""
        ids = {label_id(c, theory_id): c for c in configuration_ids}
        known = self._present("labels", list(ids))
        self._documents.join("labels", sorted(known), {"campaign": campaign, "purpose": purpose})
        return [c for i, c in ids.items() if i not in known]

    # ------------------------------------------------------------ labels out

    def label_documents(
        self, filter_: Mapping[str, Any], *, fields: Sequence[str] | None = None
    ) -> Iterator[Document]:
        """Stream label documents that match, as MongoDB holds them."""
        return self._documents.find("labels", self._indexed(filter_), fields=fields)

    def labels(self, query: str | Mapping[str, Any]) -> Iterator[LabelledConfiguration]:
        """Stream configurations with their labels, in the order of the label ids.

        Parameters
        ----------
        query
            A text as `fw-nnp query` takes it, ``Al phase=liquid max_force<5``, or a MongoDB filter.
        """
        filter_ = parse_query(query) if isinstance(query, str) else query
        for document in self._documents.find("labels", self._indexed(filter_), sort="_id"):
            yield labelled_of(document)

    def blocks(self, filter_: Mapping[str, Any]) -> Iterator[Block]:
        """Stream labels with their configurations as arrays, in the order of the server.

        The fast way: nothing is made per label but a few texts. Provenance is left behind.
        """
        for batch in self._documents.find_raw(
            "labels", self._indexed(filter_), fields=list(_COLUMNS)
        ):
            yield from map(_block, tables(batch))

    def values(self, filter_: Mapping[str, Any], field: str) -> Iterator[Any]:
        """Stream the values of a scalar field; labels without it are left out."""
        for document in self._documents.find("labels", self._indexed(filter_), fields=[field]):
            if field in document:
                yield document[field]

    def count_labels(self, filter_: Mapping[str, Any]) -> int:
        """Number of labels that match."""
        asked = self._indexed(filter_)
        return self._documents.count("labels", asked, index=counted_by(asked))

    def count_conflicts(self) -> int:
        """Number of second answers that were refused."""
        return self._documents.count("conflicts", {})

    def _indexed(self, filter_: Mapping[str, Any]) -> Filter:
        """The same question in fields that are indexed together."""

        def codes() -> dict[str, str]:
            found = self._documents.find("theories", {}, fields=["code"])
            return {document["_id"]: document["code"] for document in found}

        return indexed(filter_, lambda field: self._documents.distinct("labels", field), codes)

    def _compare(self, documents: Sequence[Document], conflicts: Conflicts) -> None:
        """Keep the answers that contradict those in the store."""
        for batch in batches(sorted({document["_id"] for document in documents})):
            found = self._documents.find("labels", {"_id": {"$in": batch}})
            kept = {old["_id"]: old for old in found}
            for second in (d for d in documents if d["_id"] in kept):
                old = kept[second["_id"]]
                difference = _disagreement(label_of(old), label_of(second), old["n_atoms"])
                if difference:
                    arrays = (
                        second.get(name, {}).get("data", b"") for name in ("forces", "stress")
                    )
                    answer = digest(repr(second["energy"]), *arrays)
                    key = f"{old['_id']}/{answer[:8]}"
                    self._documents.add("conflicts", [{**second, "_id": key, "label": old["_id"]}])
                    conflicts.found.append((old["_id"], difference))


@dataclass(frozen=True)
class Conflicts:
    """Second answers that were found on the way: (label id, by how much it differs)."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self) -> None:
        """Raise LabelConflict if there is any, once all else is kept."""
        if self.found:
            id_, difference = min(self.found)
            more = f" (and {len(self.found) - 1} more labels)" if len(self.found) > 1 else ""
            raise LabelConflict(
                f"a second answer differs by {difference}{more}",
                place=id_,
                remedy="compare it with the first in the collection 'conflicts'; "
                "all other labels are kept",
            )


def _lists(join: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in join.items()}


def _blocks(pairs: Sequence[tuple[Frame, Label]]) -> Iterator[tuple[Block, list[dict[str, Any]]]]:
    """Blocks of one shape and one level of theory, with what only frames know."""
    groups: dict[Any, list[tuple[Frame, Label]]] = {}
    for frame, label in pairs:
        if label.configuration_id != frame.configuration.id:
            raise SpecError("the label is about another configuration", place=label.id)
        n = frame.configuration.n_atoms
        key = (n, label.theory_id, label.forces is None, label.stress is None)
        groups.setdefault(key, []).append((frame, label))
    for group in groups.values():
        items = [
            LabelledConfiguration(
                configuration=frame.configuration,
                label=label,
                trajectory=frame.trajectory,
                phase=frame.phase,
            )
            for frame, label in group
        ]
        frames = [
            {
                "sampler": frame.sampler,
                "temperature": frame.temperature,
                "step": frame.step,
                "time": frame.time,
                "provenance": label.provenance,
            }
            for frame, label in group
        ]
        yield block_of(items), frames


def _block(table: Table) -> Block:
    """Rows of label documents as a block."""
    numbers = table.binary("numbers")
    n = numbers.shape[1]
    return Block(
        label_ids=table.texts("_id"),
        configuration_ids=table.texts("configuration"),
        theory_ids=table.texts("theory"),
        numbers=numbers,
        cells=table.array("cell", 3, 3),
        positions=table.array("positions", n, 3),
        pbc=np.stack([table.numbers(f"pbc.{axis}") for axis in range(3)], axis=1),
        energies=table.numbers("energy"),
        forces=table.array("forces", n, 3) if "forces.data" in table else None,
        stress=table.array("stress", 3, 3) if "stress.data" in table else None,
        trajectories=table.texts("trajectory"),
        phases=table.texts("phase"),
    )


def _disagreement(first: Label, second: Label, n_atoms: int) -> str:
    """In words, by how much two answers differ beyond tolerance; empty if they agree."""
    energy = abs(first.energy - second.energy) / n_atoms
    if energy > ENERGY_TOLERANCE:
        return f"{1e3 * energy:.3g} meV/atom"
    if first.forces is not None and second.forces is not None:
        force = float(np.abs(first.forces - second.forces).max())
        if force > FORCE_TOLERANCE:
            return f"{1e3 * force:.3g} meV/Å"
    if first.stress is not None and second.stress is not None:
        stress = float(np.abs(first.stress - second.stress).max()) / GPA
        if stress > STRESS_TOLERANCE:
            return f"{stress:.3g} GPa"
    return ""

"""One path for all labels: look at the atoms, compute, prove; what fails becomes a record."""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from fw_nnp.core.atoms import to_atoms
from fw_nnp.core.errors import LabelError
from fw_nnp.core.records import Configuration, Label, Quarantine

from .custody import Custody, Stopped
from .labeler import Labeler, ProgramLabeler

MIN_DISTANCE = 0.6  # of the sum of covalent radii
MIN_VOLUME = 0.5  # Å³ per atom: a cell that is no cell


def relabel(
    configuration: Configuration,
    labeler: Labeler,
    directory: Path,
    *,
    max_attempts: int,
    min_distance: float = MIN_DISTANCE,
) -> Label | Quarantine:
    """Label one configuration in `directory`.

    Parameters
    ----------
    max_attempts
        Runs under custodian, repairs included.
    min_distance
        Atoms closer than this fraction of the sum of their covalent radii are rejected.

    Raises
    ------
    EngineError
        The program cannot be started; all else becomes a `Quarantine`.
    """
    return _answer(configuration, labeler, directory, Custody(max_attempts), min_distance)


def relabel_many(
    configurations: Sequence[Configuration],
    labeler: Labeler,
    scratch: Path,
    *,
    side_by_side: int,
    max_attempts: int,
    stop: Callable[[], bool],
    min_distance: float = MIN_DISTANCE,
) -> Iterator[Label | Quarantine]:
    """Label many configurations, several at a time, and yield each answer as it comes.

    Equal configurations are one question and get one answer.

    Parameters
    ----------
    scratch
        One folder per configuration, named by its id; removed after success, kept after failure.
    side_by_side
        Number of programs at a time; the next free one takes the next configuration.
    stop
        Asked ten times a second; when true, running programs are ended and what they were at
        is not answered.

    Raises
    ------
    EngineError
        The program cannot be started.
    """
    todo: queue.SimpleQueue[Configuration] = queue.SimpleQueue()
    questions = {configuration.id: configuration for configuration in configurations}
    for configuration in questions.values():
        todo.put(configuration)
    side_by_side = min(side_by_side, len(questions))
    custody = Custody(max_attempts, _cores(side_by_side))
    # A program has a core only while it runs: other threads write and read meanwhile.
    threads_per_core = 2 if isinstance(labeler, ProgramLabeler) else 1
    done: queue.SimpleQueue[Label | Quarantine | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            while not custody.stopped:
                configuration = todo.get_nowait()
                folder = scratch / configuration.id
                answer = _answer(configuration, labeler, folder, custody, min_distance)
                if isinstance(answer, Label):
                    shutil.rmtree(folder, ignore_errors=True)
                done.put(answer)
        except (queue.Empty, Stopped):
            done.put(None)
        except BaseException as error:  # carried to the caller's thread
            done.put(error)
        else:
            done.put(None)

    threads = [
        threading.Thread(target=work, name=f"relabel-{i}", daemon=True)
        for i in range(threads_per_core * side_by_side)
    ]
    for thread in threads:
        thread.start()
    try:
        yield from _answers(done, len(threads), custody, stop)
    finally:
        custody.stop()
        for thread in threads:
            thread.join()


def _cores(n: int) -> list[int | None]:
    """A core for each of `n` programs where they fill all that this process may use.

    With fewer programs than cores another worker may share the machine, and would pin its
    programs to the same ones.
    """
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [*allowed] if 1 < n == len(allowed) else [None] * n


def _answers(
    done: queue.SimpleQueue[Any], workers: int, custody: Custody, stop: Callable[[], bool]
) -> Iterator[Label | Quarantine]:
    """Yield what the workers finish until the last has left."""
    while workers:
        if stop() and not custody.stopped:
            custody.stop()
        try:
            item = done.get(timeout=0.1)
        except queue.Empty:
            continue
        if item is None:
            workers -= 1
        elif isinstance(item, BaseException):
            raise item
        else:
            yield item


def _answer(
    configuration: Configuration,
    labeler: Labeler,
    directory: Path,
    custody: Custody,
    min_distance: float,
) -> Label | Quarantine:
    try:
        check_geometry(configuration, min_distance)
        started = time.monotonic()
        label = labeler.label(configuration, directory, custody)
        wall = round(time.monotonic() - started, 3)
        return replace(label, provenance={"wall_s": wall, **label.provenance})
    except LabelError as error:
        return Quarantine(
            configuration_id=configuration.id,
            theory_id=labeler.theory.id,
            error_class=error.error_class,
            reason=error.message,
            evidence={"place": error.place, "remedy": error.remedy, **error.evidence},
        )


def check_geometry(configuration: Configuration, min_distance: float) -> None:
    """Raise LabelError of class ``geometry`` where no calculation can make sense.

    Parameters
    ----------
    min_distance
        Smallest distance over the sum of covalent radii, periodic images included.
    """
    per_atom = configuration.volume / configuration.n_atoms
    if all(configuration.pbc) and per_atom < MIN_VOLUME:
        raise LabelError(
            f"the cell has {per_atom:.3g} Å³ per atom",
            place=configuration.id,
            remedy="correct the cell",
            error_class="geometry",
        )
    atoms = to_atoms(configuration)
    reach = min_distance * covalent_radii[configuration.numbers]
    i, j, distance = neighbor_list("ijd", atoms, cutoff=reach)
    if len(distance):
        k = int(np.argmin(distance))
        limit = reach[i[k]] + reach[j[k]]
        raise LabelError(
            f"atoms {i[k]} and {j[k]} are {distance[k]:.2f} Å apart, less than {limit:.2f} Å "
            f"({min_distance:g} of the sum of covalent radii)",
            place=configuration.id,
            remedy="sample at lower temperature or pressure, or lower min_distance",
            error_class="geometry",
        )

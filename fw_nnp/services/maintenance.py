"""Put right what dead workers left behind in the launchpad.

FireWorks keeps four traces of a worker that was killed: a launch that is RUNNING for
ever, a Firework RESERVED without a launch, a workflow locked for ever, and a launch that
is done while its Firework still says RUNNING. Each has its cure here; none touches a
worker that lives, all may be repeated, and a crash in the middle loses nothing.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fireworks import LaunchPad

_WORKER = re.compile(r".+@(?P<host>[^@:]+):(?P<pid>\d+)")


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What was put right, as fw_ids."""

    unlocked: list[int]
    """First Firework of each workflow whose lock was removed."""
    rerun: list[int]
    """Fireworks that are READY again."""
    refreshed: list[int]
    """Fireworks that had ended without their workflow knowing."""

    def __bool__(self) -> bool:
        return bool(self.unlocked or self.rerun or self.refreshed)


def recover(
    launchpad: LaunchPad,
    *,
    launches_dead: Callable[[Mapping[str, Any]], bool],
    grace: float = 10.0,
) -> Recovered:
    """Return Fireworks of dead workers to READY; safe at any time and to repeat.

    Parameters
    ----------
    launches_dead
        Says of a document of ``launches`` whether its worker is dead: `launch_is_dead`.
    grace
        Seconds that a living worker may take between reserving a Firework and recording
        its launch; 0 where no worker has been started yet.
    """
    unlocked = _unlock(launchpad, launches_dead)
    rerun = _rerun_running(launchpad, launches_dead) + _rerun_reserved(
        launchpad, launches_dead, grace
    )
    refreshed = _refresh_ended(launchpad, launches_dead)
    return Recovered(unlocked=unlocked, rerun=rerun, refreshed=refreshed)


def launch_is_dead(launch: Mapping[str, Any], *, expiration: float = 1800.0) -> bool:
    """Whether the worker of a launch is dead.

    A worker on this host, named ``name@host:pid``, is dead when no such process exists or
    when it is younger than the launch (its number was given away). Of another worker only
    the last ping of a RUNNING launch is known; `expiration` in s is RUN_EXPIRATION_SECS.
    """
    worker = _WORKER.fullmatch((launch.get("fworker") or {}).get("name", ""))
    if worker and worker["host"] == platform.node():
        started = _started(int(worker["pid"]))
        return started is None or started > _first_seen(launch) + timedelta(seconds=1)
    silent = datetime.now(UTC) - _last_seen(launch)
    return launch["state"] != "RESERVED" and silent > timedelta(seconds=expiration)


# ---------------------------------------------------------------- the four cures


def _unlock(launchpad: LaunchPad, dead: Callable[[Mapping[str, Any]], bool]) -> list[int]:
    """Unlock workflows that only dead workers ran, then work out their states anew."""
    unlocked = []
    for workflow in list(launchpad.workflows.find({"locked": {"$exists": True}}, {"nodes": 1})):
        nodes = workflow["nodes"]
        launches = list(launchpad.launches.find({"fw_id": {"$in": nodes}}))
        if not launches or not all(dead(launch) for launch in launches):
            continue
        launchpad.workflows.update_one({"_id": workflow["_id"]}, {"$unset": {"locked": ""}})
        # The first pass brings the workflow's record of states in line, the second the children.
        for fw_id in nodes * 2:
            _refresh(launchpad, fw_id)
        unlocked.append(nodes[0])
    return unlocked


def _rerun_running(launchpad: LaunchPad, dead: Callable[[Mapping[str, Any]], bool]) -> list[int]:
    rerun = []
    for launch in [found for found in launchpad.launches.find({"state": "RUNNING"}) if dead(found)]:
        fw_id = launch["fw_id"]
        if _locked(launchpad, fw_id):
            continue
        # Rerun first: killed between the two, the next sweep still finds the launch.
        current = {"fw_id": fw_id, "launches": launch["launch_id"]}
        if launchpad.fireworks.find_one(current, {"_id": 1}):
            launchpad.rerun_fw(fw_id)
            rerun.append(fw_id)
        launchpad.mark_fizzled(launch["launch_id"])
    return rerun


def _rerun_reserved(
    launchpad: LaunchPad, dead: Callable[[Mapping[str, Any]], bool], grace: float
) -> list[int]:
    """Fireworks reserved without a launch, and reservations whose worker is dead."""
    rerun = []
    for launch in list(launchpad.launches.find({"state": "RESERVED"})):
        if dead(launch):
            launchpad.cancel_reservation(launch["launch_id"])
            rerun.append(launch["fw_id"])
    horizon = datetime.now(UTC) - timedelta(seconds=grace)
    for firework in list(launchpad.fireworks.find({"state": "RESERVED", "launches": []})):
        if _time(firework["updated_on"]) <= horizon and not _locked(launchpad, firework["fw_id"]):
            launchpad.rerun_fw(firework["fw_id"])
            rerun.append(firework["fw_id"])
    return rerun


def _refresh_ended(launchpad: LaunchPad, dead: Callable[[Mapping[str, Any]], bool]) -> list[int]:
    """Fireworks still RUNNING though their launch has ended: the worker died in between."""
    refreshed = []
    for firework in list(launchpad.fireworks.find({"state": "RUNNING"}, {"fw_id": 1})):
        launches = list(launchpad.launches.find({"fw_id": firework["fw_id"]}))
        ended = all(launch["state"] in ("COMPLETED", "FIZZLED") for launch in launches)
        if launches and ended and all(dead(launch) for launch in launches):
            _refresh(launchpad, firework["fw_id"])
            refreshed.append(firework["fw_id"])
    return refreshed


def _refresh(launchpad: LaunchPad, fw_id: int) -> None:
    launchpad._refresh_wf(fw_id)  # as `lpad admin refresh`; FireWorks has no public name for it


def _locked(launchpad: LaunchPad, fw_id: int) -> bool:
    """A rerun would wait for minutes on a lock; the next sweep comes back to it."""
    return launchpad.workflows.find_one({"nodes": fw_id, "locked": {"$exists": True}}) is not None


# ---------------------------------------------------------------- times


def _started(pid: int) -> datetime | None:
    """When process `pid` of this host was started; None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return None
    if boot is None or fields[0] == "Z":
        return None
    return datetime.fromtimestamp(int(boot[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK"), UTC)


def _first_seen(launch: Mapping[str, Any]) -> datetime:
    return _time(launch["state_history"][0]["created_on"])


def _last_seen(launch: Mapping[str, Any]) -> datetime:
    entry = launch["state_history"][-1]
    return _time(entry.get("updated_on") or entry["created_on"])


def _time(value: datetime | str) -> datetime:
    """A time of FireWorks, which stores both datetimes and ISO texts, with or without UTC."""
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time

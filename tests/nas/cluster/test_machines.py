"""Which machines a cluster has, and how long one is waited for; Ray's list is made up."""

from types import SimpleNamespace
from typing import Any

import pytest
import ray

from nas.cluster import Machines, NoMachine, machines


def node(name: str, cpus: float, gpus: float = 0.0, *, alive: bool = True) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}}


def test_none_that_fits_is_waited_for_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    found = [node("a", 4, 1), node("b", 1), node("c", 8, 8, alive=False)]
    monkeypatch.setattr(machines, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(ray, "nodes", lambda: found)
    looked = Machines(cpus=2, gpus=0.5)
    assert looked.alive() == {"a", "b"}
    looked.check()
    found[0]["Alive"] = False
    assert looked.alive() == {"a", "b"}, "asked for at most once a second"
    now = 1.0
    assert looked.alive() == {"b"}
    now = 300.0
    looked.check()
    now = 301.0
    with pytest.raises(
        NoMachine, match=r"for 300 s no machine of the .* for a trial \(cpus_per_trial 2, gpus_per_trial 0.5\)"
    ):
        looked.check()
    found.append(node("d", 2, 1))
    now = 302.0
    looked.check()

"""Which machines a cluster has, how many trials they hold, and how long one is waited for; Ray's list is made up."""

from types import SimpleNamespace
from typing import Any

import pytest
import ray

from nas.cluster import Machines, Node, NoMachine, machines, this_node


def node(name: str, cpus: float, gpus: float = 0.0, *, alive: bool = True) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}}


def test_none_that_fits_is_waited_for_a_quarter_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    found = [node("a", 4, 1), node("b", 1), node("c", 8, 8, alive=False)]
    monkeypatch.setattr(machines, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(ray, "nodes", lambda: found)
    monkeypatch.setattr(Machines, "_ask_for", lambda looked, missing: None)
    looked = Machines(cpus=2, gpus=0.5, wanted=2)
    assert looked.alive() == {"a", "b"}
    looked.check()
    found[0]["Alive"] = False
    assert looked.alive() == {"a", "b"}, "asked for at most once a second"
    now = 1.0
    assert looked.alive() == {"b"}
    now = 900.0
    looked.check()
    now = 901.0
    with pytest.raises(
        NoMachine, match=r"for 900 s no machine of the .* for a trial \(cpus_per_trial 2, gpus_per_trial 0.5\)"
    ):
        looked.check()
    found.append(node("d", 2, 1))
    now = 902.0
    looked.check()


def test_where_some_find_no_room_others_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now, found, waiting = 0.0, [node("head", 0), node("a", 3)], list[int]()
    asked_with: dict[str, Any] = {}

    class Task:
        def options(self, **options: Any) -> "Task":
            asked_with.update(options)
            return self

        def remote(self) -> int:
            waiting.append(len(waiting))
            return waiting[-1]

    monkeypatch.setattr(machines, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(ray, "nodes", lambda: found)
    monkeypatch.setattr(ray, "remote", lambda function: Task())
    monkeypatch.setattr(ray, "wait", lambda refs, **options: ([], [each for each in refs if each in waiting]))
    monkeypatch.setattr(ray, "cancel", waiting.remove)
    looked = Machines(cpus=1, gpus=0.0, wanted=5)
    assert (looked.fit(), waiting) == (3, [0, 1])
    assert (asked_with["num_cpus"], asked_with["num_gpus"]) == (1, 0.0)
    found.append(node("b", 1))
    now = 1.0
    assert (looked.fit(), waiting) == (4, [0])
    found.append(node("c", 8))
    now = 2.0
    assert (looked.fit(), waiting) == (5, [])


def test_a_worker_knows_the_machine_that_it_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [node("head", 0), node("a", 4, 1), node("b", 16)])
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "a"))
    assert this_node() == Node(4, 1)

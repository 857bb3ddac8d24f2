"""What a trial gets of the machines there are, and what is refused; without Ray."""

from pathlib import Path
from typing import Any

import pytest

from nas.cluster import Cluster, Node
from nas.search.config import SearchConfig
from nas.search.engine import Resources
from nas.search.run import resources_of

LAPTOP = Cluster(scratch=Path(), nodes=(Node(4, 0),))
CLUSTER = Cluster(scratch=Path(), nodes=(Node(16, 2),) * 4)
HEAD = Cluster(scratch=Path(), nodes=(Node(0, 0),))
MIXED = Cluster(scratch=Path(), nodes=(Node(7, 0), Node(3, 1)))


@pytest.mark.parametrize(
    ("cluster", "asked", "expected"),
    [
        (LAPTOP, {}, (1, 0.0, 4, "cpu")),
        (LAPTOP, {"cpus_per_trial": 3}, (3, 0.0, 1, "cpu")),
        (LAPTOP, {"workers": 2}, (1, 0.0, 2, "cpu")),
        (CLUSTER, {}, (1, 1.0, 8, "cuda")),
        (CLUSTER, {"gpus_per_trial": 0.25}, (1, 0.25, 32, "cuda")),
        (CLUSTER, {"gpus_per_trial": 0.25, "cpus_per_trial": 4}, (4, 0.25, 16, "cuda")),
        (CLUSTER, {"gpus_per_trial": 0}, (1, 0.0, 64, "cpu")),
        (CLUSTER, {"device": "cpu"}, (1, 0.0, 64, "cpu")),
        (CLUSTER, {"gpus_per_trial": 0.4}, (1, 0.4, 16, "cuda")),
        (MIXED, {"cpus_per_trial": 2, "device": "cpu"}, (2, 0.0, 4, "cpu")),
        (MIXED, {"gpus_per_trial": 0.2}, (1, 0.2, 3, "cuda")),
        (CLUSTER, {"workers": 9, "address": "auto"}, (1, 1.0, 9, "cuda")),
        (HEAD, {"workers": 8, "address": "auto", "device": "cuda"}, (1, 1.0, 8, "cuda")),
        (HEAD, {"workers": 8, "address": "auto", "cpus_per_trial": 4}, (4, 0.0, 8, "cpu")),
    ],
)
def test_what_a_trial_gets(cluster: Cluster, asked: dict[str, Any], expected: tuple[int, float, int, str]) -> None:
    resources, compute = resources_of(SearchConfig(**asked), cluster)
    assert (resources.cpus, resources.gpus, resources.workers, compute.device) == expected
    assert compute.threads == resources.cpus


@pytest.mark.parametrize(
    ("workers", "node", "trials"),
    [(8, Node(16, 2), 4), (2, Node(16, 2), 2), (8, Node(3, 1), 1), (8, Node(4, 0.25), 1), (64, Node(8, 4), 4)],
)
def test_a_trial_may_hold_its_share_of_the_machine_that_it_is_on(workers: int, node: Node, trials: int) -> None:
    assert Resources(cpus=2, gpus=0.5, workers=workers).share_of(node) == 1 / trials


@pytest.mark.parametrize(
    ("cluster", "asked", "said"),
    [
        (LAPTOP, {"gpus_per_trial": 1}, "a trial needs 1 GPUs, but there are 0"),
        (LAPTOP, {"device": "cuda"}, "a trial needs 1 GPUs, but there are 0"),
        (LAPTOP, {"budget": "6gpu-h"}, "a budget of GPU time needs trials on a GPU"),
        (MIXED, {"cpus_per_trial": 4}, "no machine has 4 processors and 1 GPUs"),
        (LAPTOP, {"workers": 5}, "workers must be at most 4"),
        (HEAD, {"address": "auto"}, "cpus_per_trial must be at most 0"),
        (HEAD, {"workers": 8, "address": "auto", "gpus_per_trial": 1}, "a trial needs 1 GPUs, but there are 0"),
        (LAPTOP, {"cpus_per_trial": 5}, "cpus_per_trial must be at most 4"),
        (CLUSTER, {"cpus_per_trial": 17}, "cpus_per_trial must be at most 16"),
        (CLUSTER, {"workers": 9}, "workers must be at most 8"),
        (CLUSTER, {"device": "cpu", "budget": "6gpu-h"}, "a budget of GPU time needs trials on a GPU"),
    ],
)
def test_what_is_not_there_is_refused(cluster: Cluster, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        resources_of(SearchConfig(**asked), cluster)


def test_paths_do_not_depend_on_the_folder_they_were_given_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    anchored = SearchConfig(data="photos", data_root=Path("sets")).anchored()
    assert anchored.data == str(tmp_path / "photos")
    assert anchored.data_root == tmp_path / "sets"
    assert SearchConfig(data="digits").anchored().data == "digits"

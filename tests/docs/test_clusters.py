"""The clusters that a page describes are what Ray's launcher and KubeRay take."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.docs.pages import CLUSTERS, DOCS, ROOT, blocks

PAGE = DOCS / "your-cluster.md"
SCHEMA = json.loads((Path(__file__).parent / "raycluster-schema.json").read_text())
RAY = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def described(title: str) -> dict[str, Any]:
    [text] = [block.text for block in blocks(PAGE) if block.title == title]
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def launch(cluster: dict[str, Any]) -> None:
    """As `ray up` does before it asks the cloud."""
    validate_config(prepare_config(copy.deepcopy(cluster)))


def apply(cluster: dict[str, Any]) -> None:
    jsonschema.validate(cluster, SCHEMA)
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = [volume["name"] for volume in pod["volumes"]]
        assert all(mount["name"] in volumes for each in pod["containers"] for mount in each["volumeMounts"])


def test_both_are_on_the_page() -> None:
    assert {block.title for block in blocks(PAGE) if block.language == "yaml"} == set(CLUSTERS)


def test_rays_launcher_takes_it() -> None:
    cluster = described("cluster.yaml")
    launch(cluster)
    starts = cluster["head_start_ray_commands"] + cluster["worker_start_ray_commands"]
    assert [command.startswith("RAY_AUTH_MODE=token ") for command in starts] == [False, True, False, True]
    assert "--include-dashboard=false" in cluster["head_start_ray_commands"][-1]


def _misspell(cluster: dict[str, Any]) -> None:
    cluster["max_worker"] = cluster.pop("max_workers")


def _no_head(cluster: dict[str, Any]) -> None:
    cluster["head_node_type"] = "heads"


def _too_many(cluster: dict[str, Any]) -> None:
    cluster["available_node_types"]["trainer"]["min_workers"] = 9


@pytest.mark.parametrize("harm", [_misspell, _no_head, _too_many])
def test_rays_launcher_would_see_what_is_wrong(harm: Callable[[dict[str, Any]], None]) -> None:
    cluster = described("cluster.yaml")
    harm(cluster)
    with pytest.raises((ValueError, jsonschema.ValidationError)):
        launch(cluster)


def test_kuberay_takes_it() -> None:
    cluster = described("raycluster.yaml")
    apply(cluster)
    spec = cluster["spec"]
    assert RAY is not None
    assert (spec["rayVersion"], spec["authOptions"]) == (RAY[1], {"mode": "token"})
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        [container] = group["template"]["spec"]["containers"]
        assert "/dev/shm" in [mount["mountPath"] for mount in container["volumeMounts"]]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("authOptions", "mode"), "tokens"),
        (("headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("headGroupSpec", "rayStartParam"), {}),
        (("workerGroupSpecs", 0, "minReplica"), 1),
    ],
)
def test_the_schema_would_see_what_is_wrong(path: tuple[str | int, ...], value: object) -> None:
    cluster = described("raycluster.yaml")
    at = cluster["spec"]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        apply(cluster)

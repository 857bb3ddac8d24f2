"""The five packages are this project's, in the tree and in the wheel; nobody uploads it by accident."""

import re
import tomllib
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("nas", "search_space", "supernet", "scaling", "results")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_comes_from_this_project(room: str) -> None:
    spec = find_spec(room)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).resolve().parent == ROOT / room


def test_the_installed_distribution_is_this_tree(project: dict[str, Any]) -> None:
    installed = distribution("trainaware-nas")
    assert installed.version == project["project"]["version"]
    classifiers = installed.metadata.get_all("Classifier") or []
    assert "Private :: Do Not Upload" in classifiers


def test_the_rooms_are_the_wheels_the_linters_and_the_doctors(project: dict[str, Any]) -> None:
    from nas.cli.health import ROOMS as OF_DOCTOR
    from nas.cli.main import ROOMS as OF_ERRORS

    tools = project["tool"]
    of_wheel = tools["hatch"]["build"]["targets"]["wheel"]["packages"]
    for rooms in (of_wheel, tools["mypy"]["files"], tools["importlinter"]["root_packages"], OF_DOCTOR, OF_ERRORS):
        assert sorted(rooms) == sorted(ROOMS)


def test_the_wheel_holds_the_rooms_and_nothing_else() -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel")
    names = [entry.distribution_path for entry in wheel.WheelBuilder(str(ROOT)).recurse_included_files()]
    assert {name.split("/")[0] for name in names} == set(ROOMS)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    for file in ROOT.glob("nas/cli/*.py"):
        assert f"nas/cli/{file.name}" in names
    for file in ROOT.glob("results/report/page/*"):
        assert f"results/report/page/{file.name}" in names


def test_each_dependency_has_a_tested_version(project: dict[str, Any]) -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    assert len(pinned) == len(lines)
    declared = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["dev"]
    for requirement in declared:
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)
        assert name is not None
        assert re.sub(r"[-_.]+", "-", name[0]).lower() in pinned, f"{requirement} is not in constraints.txt"


def test_constraints_leave_cuda_to_torch() -> None:
    assert not re.search(r"^(nvidia|cuda|triton)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)

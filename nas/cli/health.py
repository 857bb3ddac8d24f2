"""What `nas doctor` looks at: each check is a function that answers with a `Check`, and none changes anything.

Our own rooms are imported inside the checks: where a stranger's package of the same name hides one, that is what this
has to tell.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import nas

__all__ = ["ROOMS", "Check", "checks"]

Status = Literal["ok", "warning", "problem"]
DISTRIBUTION = "trainaware-nas"
ROOMS = ("nas", "search_space", "supernet", "scaling", "results")
REQUIRED = ("torch", "torchvision", "ray", "optuna", "numpy", "pandas", "scipy", "moocore", "pydantic")
IMPORT_SECONDS = 120
GIB = 1 << 30
PROBE = """
import json, torch, torchvision, ray, optuna
cuda = torch.cuda.is_available()
print(json.dumps({
    "threads": torch.get_num_threads(),
    "cuda": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
    "cuda_built": torch.version.cuda,
}))
"""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at: `value` is what was found, `advice` what to do where it is not ok."""

    name: str
    status: Status
    value: str
    advice: str | None = None


def _versions() -> Iterator[Check]:
    from results.provenance import versions

    found = versions()
    told = ", ".join(f"{name} {found[name]}" for name in ("python", *REQUIRED) if found.get(name))
    missing = [name for name in REQUIRED if found.get(name) is None]
    advice = f"install what is missing ({', '.join(missing)}): pip install -c constraints.txt -e ."
    yield Check(name="versions", status="problem" if missing else "ok", value=told, advice=advice if missing else None)


def _packages() -> Iterator[Check]:
    assert nas.__file__ is not None, "nas is a plain package"
    root = Path(nas.__file__).resolve().parents[1]
    strangers = []
    for room in ROOMS:
        spec = find_spec(room)
        origin = Path(spec.origin).resolve().parents[1] if spec and spec.origin else None
        if origin != root:
            strangers.append(f"{room} from {origin}" if origin else f"{room} is not there")
    advice = "another package of that name hides it: uninstall that one, or use a virtual environment of its own"
    status: Status = "problem" if strangers else "ok"
    value = "; ".join(strangers) if strangers else f"{', '.join(ROOMS)} come from {root}"
    yield Check(name="packages", status=status, value=value, advice=advice if strangers else None)
    try:
        yield Check(name="installed", status="ok", value=f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}")
    except metadata.PackageNotFoundError:
        advice = "pip install -c constraints.txt -e ."
        yield Check(name="installed", status="warning", value=f"{DISTRIBUTION} is not installed", advice=advice)


def _libraries() -> Iterator[Check]:
    """Imports the heavy libraries in a process of their own: a broken wheel may take the process with it."""
    try:
        probe = subprocess.run(
            [sys.executable, "-P", "-c", PROBE], capture_output=True, text=True, timeout=IMPORT_SECONDS, check=True
        )
        found = json.loads(probe.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        advice = "the file system or the GPU driver may be hanging"
        value = f"importing torch and ray took over {IMPORT_SECONDS} s"
        yield Check(name="libraries", status="problem", value=value, advice=advice)
        return
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        advice = "reinstall them: pip install -c constraints.txt -e ."
        value = f"torch, torchvision, ray or optuna does not import: {said[-1] if said else error}"
        yield Check(name="libraries", status="problem", value=value, advice=advice)
        return
    yield Check(name="libraries", status="ok", value="torch, torchvision, ray and optuna import")
    yield Check(name="threads", status="ok", value=f"torch uses {found['threads']}")
    if found["cuda"]:
        yield Check(name="gpu", status="ok", value=f"{len(found['cuda'])}: {', '.join(sorted(set(found['cuda'])))}")
    elif Path("/proc/driver/nvidia").exists():
        built = found["cuda_built"] or "none"
        advice = "torch does not see the GPU: compare the driver with the CUDA that torch was built for"
        yield Check(name="gpu", status="warning", value=f"none that torch can use (its CUDA: {built})", advice=advice)
    else:
        yield Check(name="gpu", status="ok", value="none: everything runs on the CPU")


def _processor() -> Iterator[Check]:
    from nas.container import cpu_quota
    from nas.device import num_visible_processors
    from results.provenance import cpu_name

    visible, allowed = num_visible_processors(), cpu_quota()
    value = f"{cpu_name()}, {visible} visible"
    if allowed is not None and allowed < visible:
        advice = f"start the search with no more than {max(1, int(allowed))} workers: the container may use no more"
        yield Check(name="cpu", status="warning", value=f"{value}, {allowed:g} allowed", advice=advice)
    else:
        yield Check(name="cpu", status="ok", value=value)


def _memory() -> Iterator[Check]:
    from nas.container import memory

    total, free = memory()
    advice = (
        "a search with two workers wants about 2 GiB: close something, or use one worker" if free < 2 * GIB else None
    )
    value = f"{free / GIB:.1f} GiB free of {total / GIB:.1f}"
    yield Check(name="memory", status="warning" if advice else "ok", value=value, advice=advice)


def _disk() -> Iterator[Check]:
    for name, wanted in (("disk of runs/", Path("runs")), ("disk of temporary files", Path(tempfile.gettempdir()))):
        folder = wanted.absolute()
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        status: Status = "problem" if free < GIB // 10 else "warning" if free < GIB else "ok"
        advice = None if status == "ok" else "make room: a run's record and Ray's logs go there"
        if not os.access(folder, os.W_OK):
            status, advice = "problem", "it cannot be written: use another folder (TMPDIR names the temporary one)"
        yield Check(name=name, status=status, value=f"{free / GIB:.1f} GiB free in {folder}", advice=advice)


def _shared_memory() -> Iterator[Check]:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        yield Check(name="shared memory", status="ok", value="no /dev/shm on this system")
        return
    total = shutil.disk_usage(folder).total
    advice = "in a container: --shm-size=1g; Ray uses slower files otherwise" if total < GIB // 4 else None
    value = f"{total / GIB:.2f} GiB in /dev/shm"
    yield Check(name="shared memory", status="warning" if advice else "ok", value=value, advice=advice)


def _home() -> Iterator[Check]:
    home = Path.home()
    writable = home.is_dir() and os.access(home, os.W_OK)
    value = f"{home} is {'writable' if writable else 'not writable'}"
    advice = None if writable else "set HOME to a folder that can be written: caches of data and libraries go there"
    yield Check(name="home", status="ok" if writable else "warning", value=value, advice=advice)


def _open_files() -> Iterator[Check]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft == resource.RLIM_INFINITY or soft >= 1024
    advice = None if enough else "raise it before a search: ulimit -n 4096"
    value = "no limit" if soft == resource.RLIM_INFINITY else f"{soft} (may be raised to {hard})"
    yield Check(name="open files", status="ok" if enough else "warning", value=value, advice=advice)


def _loopback() -> Iterator[Check]:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
        yield Check(name="loopback", status="ok", value="127.0.0.1 answers")
    except OSError as error:
        advice = "Ray's processes talk over it: bring the loopback interface up, or look at the firewall"
        yield Check(name="loopback", status="problem", value=f"127.0.0.1 does not answer: {error}", advice=advice)


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    _packages,
    _versions,
    _libraries,
    _processor,
    _memory,
    _disk,
    _shared_memory,
    _home,
    _open_files,
    _loopback,
)


def checks() -> Iterator[Check]:
    """Every check, one after another; one that cannot be made is a warning."""
    for check in CHECKS:
        try:
            yield from check()
        except (OSError, RuntimeError, ImportError) as error:
            name = check.__name__.strip("_").replace("_", " ")
            yield Check(name=name, status="warning", value=f"could not be looked at: {error}", advice="look by hand")

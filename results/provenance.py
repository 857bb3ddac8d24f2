"""What a run was made with: versions, machine, and the state of the source tree. Asked without importing any of it."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["PACKAGES", "cpu_name", "environment", "git_state", "versions"]

DISTRIBUTION = "trainaware-nas"
PACKAGES = (
    DISTRIBUTION,
    "torch",
    "torchvision",
    "ray",
    "optuna",
    "numpy",
    "scipy",
    "pandas",
    "moocore",
    "pydantic",
)


def versions() -> dict[str, str | None]:
    """Installed versions by distribution, None for what is not there."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def git_state(folder: Path | None = None) -> dict[str, Any] | None:
    """Commit of the source tree and whether it was changed since; None where it is no git tree, as when installed.

    Only the tree that holds this project counts, not one around a virtual environment.
    """
    folder = folder or Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        command = ["git", "-C", str(folder), "--no-optional-locks", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "changed": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def environment() -> dict[str, Any]:
    """Plain data for a run's config.json."""
    return {
        "versions": versions(),
        "git": git_state(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }

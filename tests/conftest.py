"""Fixtures that several rooms' tests share."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Two test processes share two cores, and what they start inherits it: before torch and numpy are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Under nohup a hang-up is ignored, here and in what the tests start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A test's first call imports what later ones find: a deadline would only measure that.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of benchmark data beside the project; tests that want it skip where it is missing."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the benchmark data (../shared/data) is not there")
    return folder

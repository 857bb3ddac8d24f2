"""A Ray of our own that does not start is a failure of the machine, and leaves nothing."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from nas.cluster import EngineError, ray_session


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Exception("The current node timed out"), "The current node timed out"),
        (RuntimeError("Failed to start GCS.\nTraceback"), "Failed to start GCS."),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_ray_that_does_not_start_is_told(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ray

    def init(**options: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("nas.cluster.session._make_scratch", lambda: scratch)
    with (
        mock.patch.dict(os.environ),
        pytest.raises(EngineError, match=f"^Ray did not start on this machine: {said}$"),
        ray_session(None),
    ):
        pass
    assert not scratch.exists()

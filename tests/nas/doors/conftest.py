"""Every file that a reader takes, made once a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from search_space import Space
from tests.nas.doors.readers import make_files


@pytest.fixture(scope="module")
def files(
    finished_run: Path, finished_supernet: Path, small_space: Space, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder that has them, which is the working folder too."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_CACHE_DIR", str(folder / "cache"))
        make_files(folder, finished_run, finished_supernet, small_space)
        patch.chdir(folder)
        yield folder

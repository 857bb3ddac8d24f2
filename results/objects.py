"""Objects at a URL: whole files that are put, fetched and listed; and the manifest that says which are a run.

Stores that promise least: no append, no rename, no lock; an object is replaced whole.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, cast

from results.durable import RunError, first_line, write_atomically
from search_space.files import parse_json

__all__ = ["CHUNK_BYTES", "FILE_NAMES", "Manifest", "ObjectStore", "Part", "is_url"]

CHUNK_BYTES = 4 << 20
MAX_SMALL_BYTES = 4 << 20
MANIFEST, OWNER, OBJECTS = "manifest.json", "owner.json", "objects"
RETRY_LIMIT_S = 30
BY_PYARROW = ("s3", "gs", "gcs", "abfs", "abfss")
FILE_NAMES = re.compile(
    r"(config|calibration|summary|result|arch|data)\.json|(asks|trials|metrics|skipped)\.jsonl|pareto\.csv"
    r"|model\.safetensors|checkpoints/step-[0-9]{1,12}\.pt"
)
"""What of a run's or a training's folder is mirrored."""
_SESSION = r"[0-9a-f]{32}"


def is_url(text: str) -> bool:
    """Whether `text` names a place by its protocol, as s3://BUCKET/NAME does."""
    return re.match(r"[a-z][a-z0-9+.-]*://", text) is not None


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of a file that are one object."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    object: str
    num_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch(rf"{_SESSION}/[0-9]{{1,12}}", self.object):
            raise ValueError(f"object must be SESSION/NUMBER, got {self.object!r}")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256) or self.num_bytes < 0:
            raise ValueError(f"a part must have a SHA-256 and at least 0 bytes, got {self}")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a mirror holds: each file's parts in their order. `run` is the run's for ever, `session` that of the process
    that wrote it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    run: str
    session: str
    files: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        if self.version != 1:
            raise ValueError(f"version must be 1, got {self.version}: update")
        for name in ("run", "session"):
            if not re.fullmatch(_SESSION, getattr(self, name)):
                raise ValueError(f"{name} must be 32 hexadecimal digits, got {getattr(self, name)!r}")
        for name in self.files:
            if not FILE_NAMES.fullmatch(name):
                raise ValueError(f"files must be of a run, got {name!r}")

    @property
    def objects(self) -> set[str]:
        return {part.object for parts in self.files.values() for part in parts}

    def num_bytes(self, name: str) -> int:
        """Of a file; 0 where it is not there."""
        return sum(part.num_bytes for part in self.files.get(name, ()))


class ObjectStore:
    """The objects below a URL. Its methods raise what the store's own library raises (an OSError of most)."""

    def __init__(self, url: str) -> None:
        """Raises RunError for what is no URL of a store that can be reached from here."""
        self.url = url.rstrip("/")
        if not is_url(url) or "::" in url:
            raise RunError(f"a mirror must be a URL, as s3://BUCKET/NAME or file:///FOLDER, got {url!r}")
        try:
            self._files, self._root = _filesystem(url)
        except (ImportError, ValueError, OSError) as error:
            raise RunError(f"{url}: cannot be used: {first_line(error)}") from None
        if not self._root.strip("/"):
            raise RunError(f"a mirror's URL must name a place in its store, got {url!r}")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def put(self, name: str, data: bytes) -> None:
        """Replace an object of few bytes whole."""
        path = self._path(name)
        if "file" in _protocols(self._files):  # a file is not: a reader could see the half of it
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(path), data.decode())
        else:
            self._files.pipe_file(path, data)

    def open_new(self, name: str) -> IO[bytes]:
        """An object to be written that no manifest names yet."""
        return cast(IO[bytes], self._files.open(self._path(name), "wb"))

    def chunks(self, name: str) -> Iterator[bytes]:
        with self._files.open(self._path(name), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def remove(self, name: str) -> None:
        self._files.rm_file(self._path(name))

    def objects(self) -> set[str]:
        """Names of all, as a manifest has them."""
        try:
            found = self._files.find(self._path(OBJECTS))
        except FileNotFoundError:
            return set()
        return {"/".join(str(path).split("/")[-2:]) for path in found}

    def _small(self, name: str) -> bytes | None:
        """None where it is not there."""
        data = b""
        try:
            for chunk in self.chunks(name):
                data += chunk
                if len(data) > MAX_SMALL_BYTES:
                    raise RunError(f"{self.url}/{name}: must be at most {MAX_SMALL_BYTES} bytes")
        except FileNotFoundError:
            return None
        return data

    def manifest(self) -> Manifest | None:
        """None where there is none.

        Raises:
            RunError: where it breaks a rule.
        """
        data = self._small(MANIFEST)
        if data is None:
            return None
        try:
            return parse_json(Manifest, data.decode())
        except ValueError as error:
            raise RunError(f"{self.url}/{MANIFEST}: {error}") from None

    def put_manifest(self, manifest: Manifest) -> None:
        self.put(MANIFEST, (json.dumps(asdict(manifest), separators=(",", ":")) + "\n").encode())

    def claim(self, session: str) -> None:
        self.put(OWNER, (json.dumps({"session": session}) + "\n").encode())

    def owner(self) -> str | None:
        """The session that claimed it last; None where none has."""
        data = self._small(OWNER)
        if data is None:
            return None
        found = re.search(_SESSION.encode(), data)
        return found[0].decode() if found else ""


def _filesystem(url: str) -> tuple[Any, str]:
    if url.partition(":")[0] in BY_PYARROW:
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import FileSystem

        if url.startswith("s3:"):  # what is small goes as one request that puts it, not as three
            url += f"{'&' if '?' in url else '?'}allow_delayed_open=true"
        if url.startswith("gs:") and "retry_limit_seconds=" not in url:  # else a store out of reach holds us for 15 min
            url += f"{'&' if '?' in url else '?'}retry_limit_seconds={RETRY_LIMIT_S}"
        found, root = FileSystem.from_uri(url)
        return ArrowFSWrapper(found), root.rstrip("/")
    from fsspec.core import url_to_fs

    more = {"auto_mkdir": True} if url.startswith("file:") else {}
    files, root = url_to_fs(url, **more)
    return files, root.rstrip("/")


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)

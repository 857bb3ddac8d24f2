"""WebDataset shards as webdataset writes them."""

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import SHARDS, DataConfig, DataError, dataset_of, prepare, survey


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (20, 16), value).save(buffer, "JPEG")
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """24 images to train on in three shards and 6 to test, of 3 classes, the grey value 8 x the number."""
    webdataset = pytest.importorskip("webdataset")
    folder = tmp_path / "shards"
    folder.mkdir()
    number = 0
    for split, count in (("train", 24), ("val", 6)):
        with webdataset.ShardWriter(f"{folder}/{split}-%03d.tar", maxcount=9, verbose=0) as writer:
            for _ in range(count):
                writer.write({"__key__": f"pictures/{number:05d}", "jpg": jpeg(8 * number), "cls": number % 3})
                number += 1
    return folder


def test_shards_are_read_as_webdataset_reads_them(shards: Path) -> None:
    tars = pytest.importorskip("webdataset.tariterators")
    assert dataset_of(DataConfig(data=str(shards), image_size=8)) is SHARDS
    found = survey(DataConfig(data=str(shards), image_size=16))
    assert found.counts == {"train": 21, "holdout": 3, "test": 6}
    assert found.classes == ("0", "1", "2")
    images = pickle.loads(pickle.dumps(found.splits["train"].images))
    theirs = []
    for path in sorted(shards.glob("train-*.tar")):
        with path.open("rb") as file:
            theirs += [*tars.group_by_keys(tars.tar_file_expander([{"url": str(path), "stream": file}]))]
    assert len(images) == len(theirs) == 24
    assert [images.content(row) for row in range(24)] == [sample["jpg"] for sample in theirs]
    kept = found.splits["train"]
    assert [int(theirs[row]["cls"]) for row in kept.rows.tolist()] == kept.labels.tolist()


def test_shards_can_be_prepared_too(shards: Path) -> None:
    (shards / "classes.txt").write_text("ant\nbee\ncow\n")
    data = prepare(DataConfig(data=str(shards), image_size=16))
    assert data.classes == ("ant", "bee", "cow")
    np.testing.assert_allclose(data.split("test").take(slice(None)).mean((1, 2, 3)), np.arange(192, 240, 8), atol=2)


def test_labels_may_be_in_json(tmp_path: Path) -> None:
    for split, label in (("train", "label"), ("test", "cls")):
        with tarfile.open(tmp_path / f"set-{split}-0.tar", "w") as tar:
            for number in range(6):
                add(tar, f"{number}.json", json.dumps({label: number % 2}).encode())
                add(tar, f"{number}.seg.txt", b"of no use")
                add(tar, f"{number}.JPG", jpeg(40 * number))
    found = survey(DataConfig(data=str(tmp_path), image_size=16, holdout=0.3))
    assert found.counts == {"train": 4, "holdout": 2, "test": 6}
    assert found.splits["test"].labels.tolist() == [0, 1] * 3


def without_label(folder: Path) -> None:
    with tarfile.open(folder / "train-003.tar", "w") as tar:
        add(tar, "a.jpg", jpeg(1))


def without_image(folder: Path) -> None:
    with tarfile.open(folder / "train-003.tar", "w") as tar:
        add(tar, "a.cls", b"1")
        add(tar, "b.cls", b"1")


def with_a_name(folder: Path) -> None:
    with tarfile.open(folder / "train-003.tar", "w") as tar:
        add(tar, "a.jpg", jpeg(1))
        add(tar, "a.cls", b"dog")


def compressed(folder: Path) -> None:
    tarfile.open(folder / "train-003.tar.gz", "w:gz").close()


def compressed_inside(folder: Path) -> None:
    tarfile.open(folder / "train-003.tar", "w:gz").close()


def cut(folder: Path) -> None:
    path = folder / "train-001.tar"
    path.write_bytes(path.read_bytes()[:700])


def emptied(folder: Path) -> None:
    for path in folder.glob("*.tar"):
        tarfile.open(path, "w").close()


def only_train(folder: Path) -> None:
    for path in folder.glob("val-*"):
        path.unlink()


@pytest.mark.parametrize(
    ("harm", "rule"),
    [
        (without_label, r"must have an image and a label, but 'a' of train-003.tar has no label \(.cls or .json\)"),
        (without_image, "'a' of train-003.tar has no image"),
        (with_a_name, "a label must be a number of a class from 0 to 1048575, but 'train-003.tar: a.cls' holds "),
        (compressed, "a shard must be a tar without compression, got 'train-003.tar.gz'"),
        (compressed_inside, "must be a whole tar without compression, but 'train-003.tar' is none"),
        (cut, "must be a whole tar without compression, but 'train-001.tar' is none"),
        (emptied, "must have at least 2 classes, got none"),
        (only_train, r"and val-\*.tar or test-\*.tar, but .* has only train-\*.tar"),
        (lambda folder: (folder / "classes.txt").write_text("a\nb\n"), "has 2 names and labels go up to 2"),
    ],
)
def test_what_is_wrong_is_named(shards: Path, harm: Callable[[Path], object], rule: str) -> None:
    harm(shards)
    with pytest.raises(DataError, match=rule):
        survey(DataConfig(data=str(shards), image_size=16))


def test_a_header_that_claims_gigabytes_is_refused(shards: Path) -> None:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 32
    path = shards / "train-000.tar"
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    with path.open("r+b") as file:
        file.truncate(1 << 33)
    with pytest.raises(DataError, match=r"'train-000\.tar' is none: a header must have at most 2,097,152 bytes"):
        survey(DataConfig(data=str(shards), image_size=8))


def test_names_that_lead_elsewhere_are_names(shards: Path, tmp_path: Path) -> None:
    """Nothing is unpacked."""
    with tarfile.open(shards / "train-000.tar", "w") as tar:
        for name in ("../../out", "/tmp/out", "a/../../../out"):
            add(tar, f"{name}.jpg", jpeg(1))
            add(tar, f"{name}.cls", b"0")
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    found = survey(DataConfig(data=str(shards), image_size=8))
    assert sum(found.counts.values()) == 3 + 15 + 6
    assert {path.name for path in tmp_path.iterdir()} <= {"shards", "cache"}

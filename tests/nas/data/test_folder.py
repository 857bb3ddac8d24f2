"""Folders of images: which layouts are understood, and what is said of the others."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import DataConfig, DataError, PreparedData, prepare

MakeFolder = Callable[..., Path]


def prepared(folder: Path, **settings: object) -> PreparedData:
    return prepare(DataConfig(data=str(folder), image_size=8, **settings))  # type: ignore[arg-type]


def picture(path: Path, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), (value, value, value)).save(path)
    return path


@pytest.mark.parametrize("other", ["val", "test"])
def test_one_other_split_is_the_test(make_folder: MakeFolder, other: str) -> None:
    data = prepared(make_folder({"train": 10, other: 2}))
    assert data.classes == ("ant", "bee", "cow")
    assert data.counts == {"train": 27, "holdout": 3, "test": 6}


def test_with_both_val_is_held_out(make_folder: MakeFolder) -> None:
    folder = make_folder({"train": 1, "val": 3, "test": 2})
    data = prepared(folder, holdout=0.5)
    assert data.counts == {"train": 3, "holdout": 9, "test": 6}
    assert len(data.split("holdout")) == 9
    assert "held out (val)" in data.summary()
    shutil.rmtree(folder / "val" / "ant")
    with pytest.raises(DataError, match="train and val must have the same classes, but only train has 'ant'"):
        prepared(folder)


def test_a_folder_of_classes_has_a_fifth_of_each_set_aside(make_folder: MakeFolder) -> None:
    data = prepared(make_folder({"": 10}))
    assert data.counts == {"train": 21, "holdout": 3, "test": 6}
    assert np.bincount(data.split("test").labels).tolist() == [2, 2, 2]


def test_a_class_may_be_called_train(make_folder: MakeFolder) -> None:
    assert prepared(make_folder({"": 4}, classes=("bus", "train"))).classes == ("bus", "train")


def test_labels_and_order_are_those_of_torchvisions_image_folder(make_folder: MakeFolder) -> None:
    from torchvision.datasets import ImageFolder

    folder = make_folder({"train": 4, "test": 3}, classes=("zoo", "Ant", "bee 2"))
    picture(folder / "test" / "bee 2" / "deep" / "er" / "x.PNG")
    data = prepare(DataConfig(data=str(folder), image_size=12))
    theirs = ImageFolder(folder / "test")
    images = data.split("test")
    assert list(data.classes) == theirs.classes
    assert images.labels.tolist() == theirs.targets
    for position, (path, _) in enumerate(theirs.samples):
        if path.endswith(".png"):
            expected = np.asarray(Image.open(path))[:, 1:13].transpose(2, 0, 1)  # a centre crop of 14 x 12
            np.testing.assert_array_equal(images.take(slice(position, position + 1))[0], expected)


def test_what_is_hidden_or_no_image_is_passed_over(make_folder: MakeFolder) -> None:
    folder = make_folder({"train": 4, "test": 1})
    for name in (".DS_Store", "train/ant/Thumbs.db", "train/ant/._000.png", "train/notes.txt", "train/.cache/x.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no image")
    (folder / "train" / "__MACOSX").mkdir()
    (folder / "annotations").mkdir()
    assert prepared(folder).counts == {"train": 9, "holdout": 3, "test": 3}


def test_names_may_be_of_any_script_and_cannot_reach_the_terminal(make_folder: MakeFolder) -> None:
    nasty = "bad\x1b[31m\u202ename"
    data = prepared(make_folder({"": 4}, classes=("æ å", "蜂 bee", nasty), name="bilder og sånt\x07"))
    assert data.classes == ("bad?[31m?name", "æ å", "蜂 bee")
    assert data.summary().startswith("bilder og sånt?: 3 classes")
    with pytest.raises(DataError, match=r"different names.*but 'b\?ee' is there more than once"):
        prepared(make_folder({"": 4}, classes=("b\x02ee", "b\x01ee"), name="twice"))


def test_bytes_that_are_no_utf8_do_not_stop_it(make_folder: MakeFolder) -> None:
    folder = make_folder({"": 4})
    (folder / "ant").rename(folder / os.fsdecode(b"a\xffnt"))
    assert prepared(folder).classes == ("a?nt", "bee", "cow")


def broken(make_folder: MakeFolder, case: str) -> Path:
    """A folder with one thing wrong."""
    if case == "missing":
        return make_folder({"": 4}) / "nowhere"
    if case == "file":
        return make_folder({"": 4}) / "ant" / "000.png"
    if case == "flat images":
        return make_folder({"": 4}) / "ant"
    if case == "train alone":
        return make_folder({"train": 4})
    if case == "train and others":
        return make_folder({"train": 4, "valid": 4})
    if case == "no train":
        return make_folder({"val": 4, "test": 4})
    if case == "one class":
        return make_folder({"": 4}, classes=("bee",))
    if case == "two of a class":
        folder = make_folder({"": 4})
        for path in sorted((folder / "bee").iterdir())[2:]:
            path.unlink()
        return folder
    folder = make_folder({"train": 4, "test": 1})
    if case == "one to train on":
        for path in sorted((folder / "train" / "bee").iterdir())[1:]:
            path.unlink()
    if case == "empty class":
        (folder / "test" / "bee" / "000.png").unlink()
    if case == "other classes":
        (folder / "test" / "cow").rename(folder / "test" / "dog")
    return folder


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        ("missing", r"must be one of digits, .* or a folder, but '.*nowhere' does not exist"),
        ("file", r"must be one of digits, .* or a folder, but '.*000.png' is not a folder"),
        ("flat images", r"must hold images \(.*\), each in the folder of its class, but '.*ant' holds none"),
        ("train alone", "with train must have val or test beside it, but '.*pictures' has neither; to have 20 %"),
        ("train and others", "with train must have val or test beside it, but '.*pictures' has neither"),
        ("no train", "a folder with val and test must have train beside it, but '.*pictures' has not"),
        ("one class", "must have at least 2 classes, got only 'bee'"),
        ("two of a class", r"at least 3 images \(1 to train on, 1 held out, 1 for the test\), but 'bee' has 2"),
        ("one to train on", r"at least 2 images in train \(1 to train on, 1 held out\), but 'bee' has 1"),
        ("empty class", "at least 1 image in the test split, but 'bee' has 0"),
        ("other classes", "the same classes, but only train has 'cow'; only test has 'dog'"),
    ],
)
def test_what_is_wrong_is_named(make_folder: MakeFolder, case: str, rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        prepared(broken(make_folder, case))


def test_many_differences_are_counted(make_folder: MakeFolder) -> None:
    folder = make_folder({"train": 2}, classes=tuple(f"c{i:02d}" for i in range(9)))
    shutil.copytree(folder / "train" / "c00", folder / "test" / "c00")
    with pytest.raises(DataError, match="only train has 'c01', 'c02', 'c03', 'c04', 'c05' and 3 more"):
        prepared(folder)


def test_a_link_inside_the_folder_is_followed(make_folder: MakeFolder) -> None:
    folder = make_folder({"": 4})
    (folder / "ant" / "link.png").symlink_to(folder / "ant" / "000.png")
    (folder / "dog").symlink_to(folder / "bee")
    link = folder.parent / "the whole folder"
    link.symlink_to(folder)
    data = prepared(link)
    assert data.classes == ("ant", "bee", "cow", "dog")
    assert sum(data.class_counts["train"] + data.class_counts["test"]) == 5 + 4 + 4 + 4


@pytest.mark.parametrize("place", ["test", "test/dog", "test/bee/x.png", "train/bee/more"])
def test_a_link_out_of_the_folder_is_refused_by_name(make_folder: MakeFolder, tmp_path: Path, place: str) -> None:
    folder = make_folder({"train": 4, "test": 1})
    outside = picture(tmp_path / "outside" / "dog" / "x.png")
    if place == "test":
        shutil.rmtree(folder / "test")
    (folder / place).symlink_to(outside if place.endswith(".png") else outside.parents[1])
    with pytest.raises(DataError, match=rf"a place inside the data folder, but '{place}/?' leads out of it"):
        prepared(folder)


@pytest.mark.parametrize(
    ("target", "rule"),
    [("gone.png", "'bee/link.png' leads to none"), ("..", "'bee/link.png' leads to none|lies in")],
)
def test_links_to_nothing_and_in_circles_are_refused(make_folder: MakeFolder, target: str, rule: str) -> None:
    folder = make_folder({"": 4})
    (folder / "bee" / "link.png").symlink_to(target)
    with pytest.raises(DataError, match=rule):
        prepared(folder)


def test_links_to_each_other_end(make_folder: MakeFolder) -> None:
    folder = make_folder({"": 4})
    (folder / "ant" / "to bee").symlink_to(folder / "bee")
    (folder / "bee" / "to ant").symlink_to(folder / "ant")
    with pytest.raises(DataError, match="must not lead to a folder that it lies in, but 'ant/to bee/to ant' does"):
        prepared(folder)


def test_a_pipe_is_no_image(make_folder: MakeFolder) -> None:
    folder = make_folder({"": 4})
    os.mkfifo(folder / "bee" / "pipe.png")
    with pytest.raises(DataError, match=r"'bee/pipe\.png' must be a regular file"):
        prepared(folder)


def test_a_changed_folder_is_decoded_again(make_folder: MakeFolder) -> None:
    folder = make_folder({"": 4})
    first = prepared(folder)
    assert prepared(folder).folder == first.folder
    picture(folder / "ant" / "000.png", 7)
    assert prepared(folder).folder != first.folder


def test_only_the_chosen_images_are_decoded(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.data import pixels

    decoded: list[int] = []
    decode = pixels.decode_square

    def watch(content: bytes, size: int) -> np.ndarray:
        decoded.append(size)
        return decode(content, size)

    monkeypatch.setattr(pixels, "decode_square", watch)
    prepared(make_folder({"train": 10, "test": 1}), max_images=6)
    assert len(decoded) == 6 + 3


def test_the_benchmark_pack(shared_data: Path, tmp_path: Path) -> None:
    pack = np.load(shared_data / "images" / "imagenette128_test.npz")
    for label in range(3):
        folder = tmp_path / "pack" / f"class {label}"
        folder.mkdir(parents=True)
        for row in np.flatnonzero(pack["labels"] == label)[:20]:
            jpeg = pack["jpeg"][pack["offsets"][row] : pack["offsets"][row + 1]]
            (folder / f"{row}.jpg").write_bytes(jpeg.tobytes())
    data = prepare(DataConfig(data=str(tmp_path / "pack"), image_size=64))
    assert data.counts == {"train": 42, "holdout": 6, "test": 12}
    assert all(0.3 < mean < 0.6 and 0.2 < std < 0.4 for mean, std in zip(data.mean, data.std, strict=True))

"""Names of images in folders of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from hqsam_cli.errors import HqsamError
from hqsam_cli.results.image_names import name_images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """`imgs` with `a.jpg` and `sub/b.jpg`."""
    for name in ("a.jpg", "sub/b.jpg"):
        path = tmp_path / "imgs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "imgs"


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("a.jpg", "a.jpg"),
        ("none.jpg", "none.jpg"),
        ("./sub//b.jpg", "sub/b.jpg"),
        ("sub/../a.jpg", "a.jpg"),
        ("../imgs/sub/b.jpg", "sub/b.jpg"),
        ("{images}/sub/b.jpg", "sub/b.jpg"),
        ("{images}/none/c.jpg", "none/c.jpg"),
        # As another machine has them.
        ("/home/somebody/sub/b.jpg", "sub/b.jpg"),
        ("/home/somebody/a.jpg", "a.jpg"),
        ("C:\\data\\sub\\b.jpg", "sub/b.jpg"),
        ("https://host/data/sub/b.jpg?width=9", "sub/b.jpg"),
        ("caf\udce9.jpg", "caf\udce9.jpg"),
    ],
)
def test_a_name_below_the_images(images: Path, name: str, own: str) -> None:
    name = name.format(images=images)
    found = name_images([name], images)
    assert found.name_of(name) == own
    assert found.path_of(own) == str(images / own)


def test_a_folder_that_is_a_link_is_the_folder(images: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(images)
    found = name_images([f"{images}/sub/b.jpg"], tmp_path / "link")
    assert found.name_of(f"{images}/sub/b.jpg") == "sub/b.jpg"
    assert found.path_of("sub/b.jpg") == f"{tmp_path}/link/sub/b.jpg"


@pytest.mark.parametrize(
    ("name", "own", "place"),
    [
        ("/elsewhere/x.jpg", "elsewhere/x.jpg", "/elsewhere/x.jpg"),
        ("../x.jpg", "x.jpg", "{parent}/x.jpg"),
        ("../../../../../../../../x.jpg", "x.jpg", "/x.jpg"),
        ("s3://bucket/x/y.jpg", "x/y.jpg", "s3://bucket/x/y.jpg"),
        ("https://host/%2e%2e/%2e%2e/y.jpg", "y.jpg", "https://host/%2e%2e/%2e%2e/y.jpg"),
        ("\\\\host\\share\\y.jpg", "host/share/y.jpg", "{parent}/imgs/host/share/y.jpg"),
        ("C:..\\y.jpg", "y.jpg", "{parent}/imgs/y.jpg"),
    ],
)
def test_a_name_that_leads_elsewhere(images: Path, tmp_path: Path, name: str, own: str, place: str) -> None:
    found = name_images([name], images)
    assert found.name_of(name) == own
    assert found.path_of(own) == place.format(parent=tmp_path)


def test_an_image_that_is_there_is_not_taken_for_another_one(images: Path, tmp_path: Path) -> None:
    other = tmp_path / "other/a.jpg"
    other.parent.mkdir()
    other.touch()
    found = name_images([str(other), "a.jpg"], images)
    assert found.name_of(str(other)) == str(other).lstrip("/")
    assert found.path_of(str(other).lstrip("/")) == str(other)


@pytest.mark.parametrize("name", ["", ".", "/", "..", "a\0.jpg", "https://host/a%00.jpg", "sub/.."])
def test_a_name_that_leads_nowhere_is_named(images: Path, name: str) -> None:
    with pytest.raises(HqsamError) as raised:
        name_images([name], images)
    assert str(raised.value).startswith(f"{name!r} is no name of an image; ")


def test_no_two_images_have_one_name(images: Path) -> None:
    with pytest.raises(HqsamError, match=r"/x/sub/\.\./a\.jpg: would be called a\.jpg, as a\.jpg is; fix"):
        name_images(["a.jpg", "/x/sub/../a.jpg"], images)
    with pytest.raises(HqsamError, match=r"a\.jpg: two images have this name; join them"):
        name_images(["a.jpg", "a.jpg"], images)

"""Which images a shard has."""

from __future__ import annotations

import pytest

from hqsam_cli.batch.inputs import Shard, inputs_digest, named_as_before
from hqsam_cli.batch.journal import Contents, Entry
from hqsam_cli.errors import UsageError
from hqsam_cli.io.find import Found, SourceImage

IMAGES = [SourceImage(f"/x/{n:04d}.jpg", f"{n:04d}.jpg") for n in range(1000)]


def test_each_image_is_in_one_shard_and_shards_are_alike_in_size() -> None:
    shards = [Shard(index, 8).images(IMAGES) for index in range(1, 9)]
    assert sorted((image for own in shards for image in own), key=lambda image: image.path) == IMAGES
    assert all(95 <= len(own) <= 160 for own in shards)


def test_a_name_decides_whatever_the_folder_and_the_company() -> None:
    assert Shard(2, 3).images(IMAGES[500:]) == [image for image in Shard(2, 3).images(IMAGES) if image in IMAGES[500:]]
    # Names that are no UTF-8 have a shard too; the numbers pin the hash, since outputs of two versions may be joined.
    assert [Shard(1, 2).has(name) for name in ("a.jpg", "b.jpg", "b/\udcff.jpg", "ä.jpg")] == [True, True, False, True]


@pytest.mark.parametrize("text", ["0/8", "9/8", "1", "1/0", "-1/8", "1/8/2", "a/b", "", "1.0/2", "1/99999999999"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="I/N"):
        Shard.parse(text)
    assert str(Shard.parse("03/8")) == "3/8"


def test_inputs_are_told_apart_by_names_and_order() -> None:
    digests = {inputs_digest(images) for images in (IMAGES, IMAGES[1:], IMAGES[::-1], [])}
    assert len(digests) == 4
    assert inputs_digest([SourceImage("/other/0000.jpg", "0000.jpg")]) == inputs_digest(IMAGES[:1])


def test_an_earlier_name_is_not_taken_from_another_image() -> None:
    before = Contents(
        entries={"a.jpg": Entry("", "/x/a.jpg", None, 0, 1, 0), "b.jpg": Entry("", "/x/b.jpg", None, 0, 1, 0)}
    )
    images = [SourceImage("/x/a.jpg", "x/a.jpg"), SourceImage("/x/b.jpg", "x/b.jpg"), SourceImage("/y/b.jpg", "b.jpg")]
    found = named_as_before(Found(images, beside={"x/a.jpg": b"[]"}), before)
    assert [image.file_name for image in found.images] == ["a.jpg", "x/b.jpg", "b.jpg"]
    assert found.beside == {"a.jpg": b"[]"}

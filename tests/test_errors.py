"""What errors say, and the data that they carry."""

import pickle
from pathlib import Path

import pytest

from hqsam_cli.cli.console import one_line
from hqsam_cli.errors import HqsamError, ImageError, UsageError
from hqsam_cli.io.images import read_image


def test_an_error_says_what_it_is_about_why_and_what_to_do() -> None:
    assert (
        str(HqsamError("is cut off", file=Path("a.jpg"), remedy="fetch it again"))
        == "a.jpg: is cut off; fetch it again"
    )
    assert str(UsageError("no such device", option="device", value="gpu")) == "`device` gpu: no such device"
    assert str(HqsamError("nothing is left")) == "nothing is left"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ftp://me:p:w@d@host:21/a.jpg", "ftp://me:***@host:21/a.jpg"),
        ("see 'https://:token@host/a', az://c and d:e@f", "see 'https://:***@host/a', az://c and d:e@f"),
        ("zip://x::https://u:p@h/x.zip", "zip://x::https://u:***@h/x.zip"),
        ("abfss://C@ACC.dfs.core.windows.net/x http://[::1]:80/a@b", None),
    ],
)
def test_passwords_in_addresses_are_not_shown(text: str, shown: str | None) -> None:
    shown = shown or text
    assert str(HqsamError(text, file=text, detail=text, remedy=text)) == f"{shown}: {shown} ({shown}); {shown}"
    assert one_line(text) == shown


def test_a_program_reads_file_reason_and_remedy_apart(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(ImageError) as caught:
        read_image(str(tmp_path / "a.jpg"), exif="apply", max_pixels=1000)
    error = caught.value
    assert (error.file, error.reason, error.remedy) == (str(tmp_path / "a.jpg"), "the file is empty", "fetch it again")


def test_an_error_survives_the_way_out_of_a_worker_process() -> None:
    error = ImageError("is cut off", file="a.jpg", remedy="fetch it again")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.remedy) == (ImageError, str(error), "fetch it again")

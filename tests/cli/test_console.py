"""What the command line makes of what the library says."""

from hqsam_cli.cli.console import sentence


def test_parameters_are_shown_as_options_and_nothing_else_is() -> None:
    assert (
        sentence("big.png: too large; raise `max_pixels`, or `overwrite`")
        == "big.png: too large; raise --max-pixels, or --overwrite"
    )
    assert sentence("`weird`.jpg: broken") == "`weird`.jpg: broken"


def test_what_breaks_lines_is_written_out() -> None:
    assert sentence("a\nb.jpg: broken") == "a\\nb.jpg: broken"

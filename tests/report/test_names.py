from __future__ import annotations

import pytest

from audioinv.report.names import method_name, row_name


@pytest.mark.parametrize(
    ("method", "row"),
    [
        ("simclr", "SimCLR, all augmentations"),
        ("simclr:pitch_shift", "SimCLR, pitch shift alone"),
        ("simclr:fade+time_mask", "SimCLR, fade and time mask alone"),
        ("simclr:-pitch_shift", "SimCLR, all but pitch shift"),
        ("my_net", "my_net"),
        ("mine:fade", "mine:fade"),
    ],
)
def test_rows_are_called_what_their_networks_were_trained_for(method: str, row: str) -> None:
    assert row_name(method) == row


def test_short_names_read_as_words() -> None:
    assert method_name("simclr:-pitch_shift") == "SimCLR, all but pitch shift"
    assert method_name("my_net") == "my net"

"""Nothing in this folder is for those who left out the half of sounds."""

import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

"""Nothing in this folder is for those who left out the half of images."""

import pytest

pytest.importorskip("vision", reason="the half of images was left out")

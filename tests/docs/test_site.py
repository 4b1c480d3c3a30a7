"""The site is built without a warning; every public name is in it, and every tutorial runs."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import audioinv as ai
from tests.halves import of_images, of_sounds

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
HOOKS = DOCS / "hooks"
HEADING = re.compile(r'<h\d id="([\w.]+)"')

pytest.importorskip("mkdocs", reason="the extra docs is not installed")


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOOKS))


def public_names() -> set[str]:
    """Those of the face, and all that packages list as theirs."""
    import audioinv
    import vision

    names = {f"audioinv.{name}" for name in ai.__all__}
    for package in (audioinv, vision):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            text = Path(package.__path__[0], *found.name.split(".")[1:])
            source = text / "__init__.py" if found.ispkg else text.with_suffix(".py")
            if "__all__" in source.read_text(encoding="utf-8"):
                listed = importlib.import_module(found.name).__all__
                names |= {f"{found.name}.{name}" for name in listed}
    return names


def build(site: Path, notebooks: str) -> str:
    """Builds the site as `make docs` does; what it said."""
    told = {"AUDIOINV_DOCS_NOTEBOOKS": notebooks, "NO_MKDOCS_2_WARNING": "1"}
    told |= {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=REPOSITORY, env={**os.environ, **told}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


@of_sounds
@of_images
@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_without_a_connection(tmp_path: Path) -> None:
    from audioinv.audio.augment import AUGMENTATIONS

    said = build(tmp_path, "show")
    assert "WARNING" not in said
    reference = (tmp_path / "reference.html").read_text(encoding="utf-8")
    assert public_names() <= set(HEADING.findall(reference))
    gallery = (tmp_path / "augmentations.html").read_text(encoding="utf-8")
    for name in AUGMENTATIONS:
        assert f'src="made/{name}.svg"' in gallery and f'src="made/{name}.wav"' in gallery
        assert (tmp_path / "made" / f"{name}.wav").stat().st_size > 10_000
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|img|audio|iframe)[^>]* src="(?:https?:)?//', text)
        assert not re.findall(r'<link[^>]* rel="(?:stylesheet|preconnect)"[^>]*//', text)
        assert "<!-- made:" not in text


def test_links_lead_to_pages_of_the_site(tmp_path: Path) -> None:
    import links

    docs = tmp_path / "docs"
    (docs / "tutorials").mkdir(parents=True)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "run.py").write_text("print()\n")
    (tmp_path / "NEWS.md").write_text("[back](docs/page.md) [code](examples/run.py)\n")
    (docs / "tutorials" / "one.ipynb").write_text("{}")
    page = "[n](../NEWS.md#a) [t](tutorials/one.ipynb) [w](https://example.org)\n```\n[x](../NEWS.md)\n```\n"
    (docs / "page.md").write_text(page)
    found = links.outside(docs)
    assert [links.uri_of(path, docs) for path in found] == ["NEWS.md", "examples/run.py.md"]
    led = (
        "[n](NEWS.md#a) [t](tutorials/one.md) [w](https://example.org)\n```\n[x](../NEWS.md)\n```\n"
    )
    assert links.led(page, "page.md", docs) == led
    news = links.led(links.content(tmp_path / "NEWS.md"), "NEWS.md", docs)
    assert news == "[back](page.md) [code](examples/run.py.md)\n"
    tutorial = "[p](../page.md) [n](../../NEWS.md)"
    assert links.led(tutorial, "tutorials/one.md", docs) == "[p](../page.md) [n](../NEWS.md)"
    assert links.content(tmp_path / "examples" / "run.py") == "# run.py\n\n```py\nprint()\n```\n"


@of_sounds
def test_a_strong_draw_is_far_from_the_identity() -> None:
    pytest.importorskip("matplotlib")
    import made

    from audioinv.audio.augment import build_bank

    bank = build_bank(16000).augmentations
    assert abs(float(made.strong_draw(bank["pitch_shift"])[0, 0])) > 7
    assert float(made.strong_draw(bank["white_noise"])[0, 0]) < 15, "dB: louder noise than most"


def test_notebooks_are_kept_without_results() -> None:
    import nbformat

    for path in DOCS.glob("tutorials/*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        code = [cell for cell in cells if cell.cell_type == "code"]
        assert code and not any(cell.outputs or cell.execution_count for cell in code), path


@of_sounds
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["own_sounds", "descriptor", "search"])
def test_a_notebook_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import notebooks

    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    text, _ = notebooks.page(DOCS / "tutorials" / f"{name}.ipynb", run=True)
    assert "<audio" in text and "\x1b" not in text

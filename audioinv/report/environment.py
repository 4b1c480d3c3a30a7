"""How every page of the house is made from its templates."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def environment(*packages: str) -> Environment:
    """Templates of these packages, and the report's, whose style sheet is that of all pages.

    Everything that is put into them is escaped.
    """
    folders = [PackageLoader(package) for package in (*packages, "audioinv.report")]
    return Environment(
        loader=ChoiceLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

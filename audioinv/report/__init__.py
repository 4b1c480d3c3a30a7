"""One self-contained HTML page, and one Markdown table, per experiment."""

from __future__ import annotations

from audioinv.report.page import write_report
from audioinv.report.tables import results_table

__all__ = ["results_table", "write_report"]

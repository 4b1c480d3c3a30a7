"""Corpora of series."""

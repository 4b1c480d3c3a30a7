"""Speed, measured side by side: `python -m benchmarks`.

A benchmark is a function from a `Setup` to `Comparison`s; `catalogue` lists them all. Contenders of
a comparison do the same work and take turns in one process (A B A B ...), so that whatever else the
machine does falls on all of them alike. What counts is the ratio within a turn, its median.
"""

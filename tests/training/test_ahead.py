"""Reading ahead: the same things in the same order, sooner."""

from __future__ import annotations

import threading
import time

import pytest

from audioinv.training.ahead import ahead


@pytest.mark.parametrize("threads", [0, 1, 3, 50])
def test_the_order_is_kept_whatever_is_made_first(threads: int) -> None:
    def slow_when_even(number: int) -> int:
        time.sleep(0.01 * (number % 2 == 0))
        return number**2

    assert list(ahead(slow_when_even, range(5, 25), threads)) == [n**2 for n in range(5, 25)]
    assert list(ahead(slow_when_even, range(0), threads)) == []


def test_so_many_are_made_before_they_are_asked_for_and_no_more() -> None:
    made: list[int] = []
    together = threading.Barrier(3)

    def noted(number: int) -> int:
        if number < 3:
            together.wait(10)  # three at once, or this breaks
        made.append(number)
        return number

    values = ahead(noted, range(100), 3)
    assert next(values) == 0
    time.sleep(0.1)
    assert sorted(made) == [0, 1, 2, 3]
    values.close()  # type: ignore[attr-defined]
    time.sleep(0.1)
    assert len(made) <= 7


def test_without_threads_nothing_is_made_early() -> None:
    made: list[int] = []
    values = ahead(lambda number: made.append(number), range(9))
    assert next(values) is None
    assert made == [0]


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_when_its_turn_does(threads: int) -> None:
    values = ahead(lambda number: 6 // (3 - number), range(9), threads)
    assert [next(values) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(values)

"""Making things before they are asked for, in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def ahead(
    make: Callable[[int], Result], numbers: Sequence[int], threads: int = 0
) -> Iterator[Result]:
    """`make(number)` of every number, in order; with threads, so many are made ahead of need.

    `make` must give the same whenever and wherever it is called.
    """
    if threads == 0:
        yield from map(make, numbers)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number in numbers:
                waiting.append(pool.submit(make, number))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

"""What is remembered has a bound, and what is forgotten is freed a little at a time."""

from __future__ import annotations

from weakref import WeakSet

from limiter.memo import Memo


class Thing:
    pass


def test_a_full_memory_begins_anew_and_frees_two_for_each_new_one() -> None:
    memo: Memo[int, Thing] = Memo(100)
    alive: WeakSet[Thing] = WeakSet()

    def put(n: int) -> None:
        thing = Thing()
        alive.add(thing)
        memo.put(n, thing)

    for n in range(101):
        put(n)
    assert (len(memo), list(memo), memo.get(5)) == (1, [100], None)
    assert len(alive) == 1 + 98
    for n in range(101, 150):
        put(n)
    assert (len(memo), len(alive)) == (50, 50)


def test_what_is_forgotten_at_once_is_not_found_and_goes_whatever_comes_in_between() -> None:
    memo: Memo[int, int] = Memo(1_000)
    for round_of in range(5):
        for n in range(10):
            memo.put(n, round_of)
        memo.forget()
        assert memo.get(3) is None
    memo.put(1, 7)
    assert memo.get(1) == 7
    for n in range(40):
        memo.put(n, n)
    assert memo._forgotten == []

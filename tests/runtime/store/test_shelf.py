import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.store.entries import VERDICTS
from edge_runtime.store.shelf import LEAST_FIRST, Quota, Shelved, admit, make_room, sampled

SIZES = st.integers(1, 100)
SHELVES = st.fixed_dictionaries({verdict: st.lists(SIZES, max_size=6) for verdict in VERDICTS}).map(
    lambda sizes: {
        verdict: [Shelved(f"{verdict}-{number}", size) for number, size in enumerate(of_it)]
        for verdict, of_it in sizes.items()
    }
)


def total_of(shelves):
    return sum(one.size for shelf in shelves.values() for one in shelf)


@given(SHELVES, st.sampled_from(VERDICTS), SIZES, st.integers(0, 400))
def test_with_a_new_picture_all_of_them_are_within_the_quota(shelves, verdict, size, spare):
    total = total_of(shelves)
    quota = Quota(total + spare, 10**9)
    found = admit(verdict, size, shelves, total, 0, quota)
    if found.kept:
        assert total + size - sum(one.size for one in found.remove) <= quota.size


@given(SHELVES, st.sampled_from(VERDICTS), SIZES, st.integers(0, 400))
def test_what_matters_more_never_makes_way_and_the_oldest_goes_first(shelves, verdict, size, spare):
    total = total_of(shelves)
    found = admit(verdict, size, shelves, total, 0, Quota(max(total - spare, 0), 10**9))
    gone = set(found.remove)
    rank = LEAST_FIRST.index(verdict)
    for other in LEAST_FIRST:
        removed = [one in gone for one in shelves[other]]
        assert removed == sorted(removed, reverse=True)  # a newer one only after all older ones
        if LEAST_FIRST.index(other) > rank:
            assert not any(removed)
    touched = [other for other in LEAST_FIRST if gone & set(shelves[other])]
    for less, more in itertools.pairwise(LEAST_FIRST):
        if more in touched:
            assert gone >= set(shelves[less])


@given(SHELVES, st.integers(-50, 700))
def test_no_more_is_removed_than_has_to_be(shelves, needed):
    found = make_room(needed, shelves)
    assert sum(one.size for one in found) >= min(needed, total_of(shelves))
    if found:
        assert sum(one.size for one in found[:-1]) < needed


@given(SHELVES, st.sampled_from(VERDICTS), SIZES, st.integers(0, 1000), st.integers(0, 1000))
def test_the_writes_of_a_day_stay_within_their_quota_and_ng_has_most_of_it(shelves, verdict, size, written, day):
    quota = Quota(10**9, day)
    kept = {other: admit(other, size, shelves, 0, written, quota).kept for other in LEAST_FIRST}
    assert not kept[verdict] or written + size <= day
    assert [kept[other] for other in LEAST_FIRST] == sorted(kept[other] for other in LEAST_FIRST)


def test_a_picture_larger_than_the_quota_removes_nothing():
    found = admit("NG", 11, {"OK": [Shelved("a", 5)]}, 5, 0, Quota(10, 100))
    assert (found.kept, found.remove) == (False, ())


def test_no_more_pictures_are_looked_at_than_make_way():
    shelf = iter([Shelved("a", 5), Shelved("b", 5), Shelved("c", 5)])
    assert not make_room(0, {"OK": shelf})
    assert make_room(6, {"OK": shelf}) == (Shelved("a", 5), Shelved("b", 5))
    assert list(shelf) == [Shelved("c", 5)]


def test_of_good_parts_each_nth_is_kept_the_first_among_them():
    assert [count for count in range(7) if sampled(count, 3)] == [0, 3, 6]
    assert not any(sampled(count, 0) for count in range(3))

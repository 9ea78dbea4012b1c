import threading

import numpy as np
from patience import PATIENCE

from edge_runtime.store.places import Places


def picture(level, side=4):
    return np.full((side, side, 3), level, np.uint8)


def test_a_picture_is_copied_so_that_what_it_was_read_into_may_be_used_again():
    image = picture(7)
    put = Places(1).put(image, wait=False)
    image[:] = 0
    assert np.array_equal(put.image, picture(7))


def test_a_view_with_gaps_is_copied_as_it_looks():
    image = np.arange(96, dtype=np.uint8).reshape(4, 8, 3)[:, ::2]
    assert np.array_equal(Places(1).put(image, wait=False).image, image)


def test_nobody_waits_for_a_place_who_does_not_want_to():
    places = Places(2)
    first, second = (places.put(picture(level), wait=False) for level in (1, 2))
    assert places.put(picture(3), wait=False) is None
    places.free(second)
    assert np.array_equal(places.put(picture(4), wait=False).image, picture(4))
    assert np.array_equal(first.image, picture(1))


def test_who_waits_gets_the_place_that_becomes_free():
    places, found = Places(1), []
    put = places.put(picture(1), wait=True)
    thread = threading.Thread(target=lambda: found.append(places.put(picture(2), wait=True)))
    thread.start()
    places.free(put)
    thread.join(PATIENCE)
    assert np.array_equal(found[0].image, picture(2))


def test_after_the_first_picture_others_of_its_size_and_smaller_ones_take_no_memory():
    places = Places(3)
    taken = [places.put(picture(1), wait=False) for _ in range(3)]
    memory = {put.place.ctypes.data for put in taken}
    for put in taken:
        places.free(put)
    for side in (4, 2, 3):
        put = places.put(picture(2, side), wait=False)
        assert put.place.ctypes.data in memory
        assert np.array_equal(put.image, picture(2, side))
        places.free(put)


def test_places_grow_for_a_larger_picture_and_keep_those_that_wait():
    places = Places(2)
    small = places.put(picture(1), wait=False)
    large = places.put(picture(2, side=9), wait=False)
    assert np.array_equal(small.image, picture(1))
    assert np.array_equal(large.image, picture(2, side=9))

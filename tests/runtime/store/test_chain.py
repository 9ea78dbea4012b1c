import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.store.chain import START, Anchor, Link, breaks, canonical, link_hash

JSON = st.dictionaries(
    st.text(max_size=5), st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=3
)


def chain_of(bodies):
    links, last = [], START
    for number, body in enumerate(bodies, 1):
        last = Anchor(number, link_hash(last.hash, number, "event", canonical(body)))
        links.append(Link(number, "event", canonical(body), last.hash))
    return links


CHAINS = st.lists(JSON, min_size=2, max_size=8).map(chain_of)


def head_of(links):
    return Anchor(links[-1].seq, links[-1].hash)


@given(CHAINS)
def test_a_chain_as_it_was_written_has_no_breaks(links):
    assert list(breaks(links, head_of(links))) == []
    assert list(breaks([*links, *()], None)) == []


@given(CHAINS, st.data())
def test_an_altered_entry_is_told_once_and_at_its_place(links, data):
    place = data.draw(st.integers(0, len(links) - 1))
    changed = [*links]
    changed[place] = dataclasses.replace(links[place], body=links[place].body + " ")
    assert [found.seq for found in breaks(changed, head_of(links))] == [links[place].seq]


@given(CHAINS, st.data())
def test_an_altered_entry_whose_hash_was_made_anew_does_not_fit_the_next(links, data):
    place = data.draw(st.integers(0, len(links) - 1))
    before = START if place == 0 else head_of(links[:place])
    digest = link_hash(before.hash, place + 1, "event", "{}" + links[place].body)
    changed = [*links]
    changed[place] = Link(place + 1, "event", "{}" + links[place].body, digest)
    assert list(breaks(changed, head_of(links)))


@given(CHAINS, st.data())
def test_a_removed_entry_is_missed_at_the_end_too(links, data):
    place = data.draw(st.integers(0, len(links) - 1))
    assert list(breaks(links[:place] + links[place + 1 :], head_of(links)))


@given(CHAINS, st.data())
def test_an_entry_that_was_put_in_is_found_though_the_others_are_numbered_anew(links, data):
    place = data.draw(st.integers(0, len(links)))
    new = Link(place + 1, "event", '{"forged":1}', "f" * 64)
    later = [dataclasses.replace(link, seq=link.seq + 1) for link in links[place:]]
    assert list(breaks([*links[:place], new, *later], head_of(links)))


@given(CHAINS)
def test_two_that_changed_places_are_found(links):
    first, second, *rest = links
    swapped = [dataclasses.replace(second, seq=1), dataclasses.replace(first, seq=2), *rest]
    assert list(breaks(swapped, head_of(links)))


def test_a_whole_new_chain_does_not_have_the_head_that_was_written_down():
    old, new = chain_of([{"verdict": "NG"}]), chain_of([{"verdict": "OK"}])
    assert list(breaks(new)) == []
    assert [found.what for found in breaks(new, head_of(old))] == [
        "entry 1 is another than the one that was last written down elsewhere"
    ]


def test_the_hash_is_what_the_docstring_says():
    import hashlib

    text = '{"a":1}'
    assert link_hash("0" * 64, 1, "note", text) == hashlib.sha256(f"{'0' * 64}\n1 note\n{text}".encode()).hexdigest()

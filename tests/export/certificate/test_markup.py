"""Markup that cannot be broken out of."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from edge_export.certificate.markup import Markup, fold, join, table, tag, text


class Words(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.data, self.values = [], [], []

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.values += [value for _, value in attributes]

    def handle_data(self, data):
        self.data.append(data)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_any_text_comes_out_as_it_went_in_and_makes_no_element(words):
    parser = Words()
    parser.feed(tag("p", words, attributes={"title": words}))
    parser.close()
    assert parser.tags == ["p"]
    assert "".join(parser.data) == words
    assert parser.values == [words]


def test_markup_is_not_escaped_again_and_joins_stay_markup():
    inner = tag("b", "<")
    assert tag("p", inner, " & ") == "<p><b>&lt;</b> &amp; </p>"
    assert isinstance(join((inner, "x")), Markup)
    assert text(inner) == inner


def test_a_void_element_has_no_end():
    assert tag("meta", attributes={"charset": "utf-8"}) == '<meta charset="utf-8">'


def test_a_tables_columns_and_rows_have_headings():
    made = table(("layer", "dB"), [("conv", "3.1")], "Layers", numbers=(1,))
    assert '<th scope="col" role="columnheader">layer</th>' in made
    assert '<th scope="row" role="rowheader">conv</th>' in made
    assert '<td role="cell" data-head="dB" class="number">3.1</td>' in made


def test_a_fold_is_closed_unless_it_is_to_be_open():
    assert fold("3 more", "x").startswith("<details><summary>3 more")
    assert fold("3 more", "x", opened=True).startswith('<details open="">')

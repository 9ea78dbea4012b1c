"""Counting what tiles found: on seams, elsewhere, twice, and what is not there."""

import numpy as np

from edge_runtime.station.view.tiling import Rect, tiles_of
from edge_tools.station.tiles import Board, Found, Table, compare, sheets

TILES = tiles_of(Rect(0, 0, 4000, 3000), (640, 640), 128)


def test_defects_are_counted_where_the_edges_of_tiles_go_through_them_and_elsewhere():
    edge = TILES[0].right
    defects = ((0, (edge - 20, 300, edge + 20, 330)), (1, (100, 100, 130, 130)), (1, (200, 200, 230, 230)))
    board = Board(np.zeros((640, 640, 3), np.uint8), defects)
    found = [
        Found(0, (edge - 18, 301, edge + 20, 330)),
        Found(0, (edge - 20, 300, edge + 20, 331)),
        Found(1, (100, 100, 131, 130)),
        Found(2, (200, 200, 230, 230)),  # there, but something else: not found, and not made up
        Found(3, (400, 400, 420, 420)),
    ]
    table = Table()
    compare(table, TILES, board, (0, 0), found)
    assert (table.seams.defects, table.seams.found, table.seams.twice) == (1, 1, 1)
    assert (table.elsewhere.defects, table.elsewhere.found, table.elsewhere.twice) == (2, 1, 0)
    assert table.false == 1


def test_every_board_lies_on_a_sheet_so_many_times_and_none_on_another():
    boards = [Board(np.full((640, 640, 3), number, np.uint8), ()) for number in range(24)]
    laid = sheets(boards, 2, np.random.default_rng(1))
    assert len(laid) == 2
    assert laid[0].corners != laid[1].corners
    picture = laid[0].picture()
    for number, (left, top) in enumerate(laid[0].corners):
        assert (picture[top : top + 640, left : left + 640] == number).all()

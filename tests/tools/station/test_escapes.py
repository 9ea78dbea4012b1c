from collections import Counter

from click.testing import CliRunner

from edge_runtime.cli.sample import find_sample
from edge_tools.damage.boards import candidates
from edge_tools.station.escapes import Outcomes, run_escapes
from pcb.generate import main as generate


def test_no_damaged_picture_of_a_defective_board_is_ok_and_no_good_one_is_refused(tmp_path):
    boards = tmp_path / "boards"
    made = CliRunner().invoke(generate, [str(boards), "--count", "1", "--bare", "0", "--seed", "90000", "--templates"])
    assert made.exit_code == 0, made.output
    board = candidates(boards, 1)[0]
    found = run_escapes([board], 23, 4, tmp_path / "run", find_sample().bundle, 1)
    assert found.escapes == []
    assert sum(found.damaged.values(), Counter()).total() == 23
    assert len(found.damaged) == 23
    assert found.undamaged["NO_READ"] == 0
    assert sum(found.undamaged.values()) == 4


def test_the_table_counts_each_kind_and_what_is_refused_in_vain():
    lines = Outcomes(
        {"cut": Counter(NO_READ=3, OK=1)}, Counter(OK=199, NO_READ=1), ["x"], Counter({"shifted": 1})
    ).lines()
    assert "| cut | 4 | 3 | 0 | 1 |" in lines
    assert "| all | 4 | 3 | 0 | 1 |" in lines
    assert "200 undamaged pictures: 1 NO_READ (0.50%)" in lines

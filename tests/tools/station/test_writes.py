import pytest

from edge_tools.station.writes import record, written_each


def test_a_record_is_as_long_as_is_said_and_later_ones_have_later_ids():
    ids = [record(number).event_id for number in range(3)]
    assert ids == sorted(ids)
    assert len(str(record(0, 1600).body)) == pytest.approx(1600, rel=0.05)


def test_records_that_are_committed_together_write_less_and_each_writes_its_bytes(tmp_path):
    alone, together = (written_each(tmp_path / str(records), 20, records) for records in (1, 10))
    if not alone:
        pytest.skip("this folder is on no disk whose writes the kernel counts")
    assert 1600 < together / 10 < alone / 2

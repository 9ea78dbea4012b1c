from edge_tools.station.reload import gaps, reloaded


def taken(frame_id, seconds):
    return {"frame_id": frame_id, "clock": {"taken_s": seconds}}


def test_a_gap_is_where_frames_are_counted_anew():
    records = [taken(0, 1.0), taken(1, 1.5), taken(3, 2.0), taken(0, 4.25), taken(1, 4.5), taken(0, 5.5)]
    assert gaps(records) == [2.25, 1.0]


def test_a_station_takes_a_recipe_over_and_goes_on(tmp_path):
    records = reloaded(1, 30.0, None, tmp_path)
    (gap,) = gaps(records)
    assert gap > 0

import numpy as np

from edge_runtime.cli.sample import find_sample
from edge_tools.station.parts import Counted, Part, Speed, _count_one, _offsets, _whole, count
from pcb import scan
from pcb.generate import sample

SIZE = 288


def parts(*seeds):
    return [
        Part(scan.picture(sample(seed, number % 2 == 1, SIZE).copper, 0), number % 2 == 0) for number, seed in seeds
    ]


def test_each_part_of_a_film_has_one_verdict_by_a_picture_that_shows_it_wholly(tmp_path):
    speed = Speed("short", 60, stops=2, half_way=3, still=5)
    found = count(parts(*enumerate(range(1000, 1006))), speed, tmp_path, find_sample().bundle.resolve(), 1)
    assert found.wrong == []
    assert (found.parts, found.verdicts, found.right) == (6, 6, 6)
    assert found.two_in_view > found.frames / 2


def test_what_would_be_wrong_is_found():
    line = parts((0, 1000), (1, 1001))
    speed = Speed("still", 20)
    offsets = list(_offsets(2, SIZE, speed))
    first = next(frame for frame, at in enumerate(offsets) if _whole(at, 2, SIZE)[:1] == [0])

    def counted(number, verdict, frame=first):
        found = Counted(speed, 2)
        _count_one({"verdict": verdict, "frame_id": frame, "reasons": []}, number, line, offsets, found)
        return len(found.wrong), len(found.judged), found.as_is

    assert counted(0, "NG") == (0, 0, 1)
    assert counted(0, "OK") == (0, 1, 0)
    assert counted(0, "NO_READ") == (1, 0, 0)
    assert counted(1, "OK") == (1, 0, 0)  # the frame shows another part
    assert counted(0, "NG", 0) == (1, 0, 0)  # an empty belt
    assert np.diff(offsets).max() <= 20

from edge_export.text import printable, without_folders


def test_paths_lose_their_folders_and_node_names_keep_their_slashes(tmp_path):
    (tmp_path / "photos").mkdir()
    words = ["--calibrate", str(tmp_path / "photos"), "-o", str(tmp_path / "new.edge"), "--keep-fp16", "/stem/stem.0/*"]
    assert without_folders(words) == ["--calibrate", "photos", "-o", "new.edge", "--keep-fp16", "/stem/stem.0/*"]
    assert without_folders(["a/b", "x" * 5000, "/" + "x" * 5000])[0] == "a/b"


def test_bytes_that_are_not_utf8_become_question_marks():
    assert printable("caf\udce9") == "caf?"

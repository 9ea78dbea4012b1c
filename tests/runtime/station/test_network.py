import pytest

from edge_runtime.station.network import network_mistakes
from edge_runtime.station.recipe.load import read_recipe

RECIPE = """\
store: s
stations:
  a:
    source: a.mp4
    bundle: m.edge
    trigger: {http: 8101}
    outputs:
      - prometheus: 9464
      - mqtt: {url: mqtts://x, ca: none.pem}
      - webhook: {url: "https://x/", ca: none.pem, secret: "${HOOK}"}
  b:
    source: a.mp4
    bundle: m.edge
    trigger: {http: {port: 8101, frames: 2}}
    outputs: [prometheus: 9464, opcua: 9464]
"""


def test_ports_that_are_wanted_twice_and_files_that_are_not_there_are_named_with_their_lines(tmp_path):
    (tmp_path / "station.yaml").write_text(RECIPE)
    loaded = read_recipe(tmp_path / "station.yaml", {"HOOK": "whsec_!"})
    found = [(mistake.line, mistake.where, mistake.what.partition(";")[0]) for mistake in network_mistakes(loaded)]
    assert [each[:2] for each in found] == [
        (9, "stations.a.outputs[1].mqtt"),
        (10, "stations.a.outputs[2].webhook.ca"),
        (10, "stations.a.outputs[2].webhook.secret"),
        (14, "stations.b.trigger.http"),
        (15, "stations.b.outputs[1].opcua"),
    ]
    assert "none.pem" in found[0][2]
    assert found[3][2] == "the port 8101 is stations.a.trigger.http's already"


@pytest.mark.parametrize("port", ["9465", "9466"])
def test_what_can_be_is_no_mistake(tmp_path, port):
    text = RECIPE.replace("opcua: 9464", f"opcua: {port}").replace("port: 8101", "port: 8102")
    (tmp_path / "none.pem").write_text("")
    text = "\n".join(line for line in text.splitlines() if "none.pem" not in line)
    (tmp_path / "station.yaml").write_text(text)
    assert list(network_mistakes(read_recipe(tmp_path / "station.yaml", {}))) == []

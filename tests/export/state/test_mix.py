"""A mix of precisions says of each node what it has, and two that say the same are one."""

from edge_export.state import Mix


def test_a_node_that_nothing_is_said_of_stays_fp32():
    mix = Mix.of("int8", ["a", "b"])
    assert [mix.precision(name) for name in "abc"] == ["int8", "int8", "fp32"]
    assert not mix.changes_nothing


def test_a_node_has_one_precision_the_last_that_it_was_given():
    mix = Mix.of("int8", ["a", "b"], barred=["add"]).given("fp16", ["b", "c"])
    assert mix.named("int8") == {"a"}
    assert mix.named("fp16") == {"b", "c"}
    assert mix.named("int8", "fp16") == {"a", "b", "c"}
    assert mix.barred == {"add"}


def test_mixes_that_say_the_same_are_equal_however_they_were_made():
    assert Mix.of("int8", ["a"]).given("fp16", ["b"]) == Mix.of("fp16", ["b", "a"]).given("int8", ["a"])
    assert len({Mix(), Mix.of("fp32", ["a"]), Mix.of("int8", ["a"]).given("fp32", ["a"])}) == 1
    assert Mix.of("int8", ["a"]).given("fp32", ["a"]).changes_nothing
    assert not Mix(halves=frozenset({"table"})).changes_nothing

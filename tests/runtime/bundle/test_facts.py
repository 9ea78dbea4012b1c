from __future__ import annotations

import dataclasses

from edge_runtime.bundle.facts import ModelFacts, TensorSpec
from edge_runtime.inspect.fake_engine import fake_manifest

FREE, FIXED, NUMBER = TensorSpec("a", "float32", ("N", 3)), TensorSpec("b", "float32", (2, 3)), TensorSpec("c", "u", ())


def test_the_first_dimension_is_the_batch_and_a_mere_number_is_one_sample() -> None:
    assert [spec.batch for spec in (FREE, FIXED, NUMBER)] == [None, 2, 1]


def test_the_least_shape_has_one_where_a_dimension_may_vary() -> None:
    assert [spec.least_shape for spec in (FREE, FIXED, NUMBER)] == [(1, 3), (2, 3), ()]


def test_a_batch_is_free_only_where_every_input_s_is() -> None:
    def batch_of(*inputs: TensorSpec) -> int | None:
        return dataclasses.replace(fake_manifest(), inputs=inputs).batch

    assert batch_of(FREE) is None
    assert batch_of(FIXED) == 2
    assert batch_of(FREE, FIXED) == 2
    assert batch_of(NUMBER) == 1


def test_a_manifest_is_its_model_s_facts_and_more() -> None:
    facts = [field.name for field in dataclasses.fields(ModelFacts)]
    keys = [field.name for field in dataclasses.fields(fake_manifest())]
    assert keys[:4] == ["schema", "minor", "requires", "model"]
    assert keys[4 : 4 + len(facts)] == facts
    assert isinstance(fake_manifest(), ModelFacts)

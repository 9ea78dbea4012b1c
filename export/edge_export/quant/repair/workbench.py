"""What the repairs share: variants of the draft's graph, with values inside them exposed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edge_export.quant.select import Compute, TensorPlan, plan_tensors
from edge_export.quant.variants import Variants
from edge_export.run import expose, open_session

__all__ = ["Workbench"]


class Workbench(Variants):
    """Variants of a draft's graph, with the plan of all int8 and sessions that show inner values."""

    def __enter__(self) -> Workbench:
        return self

    def plan(self) -> TensorPlan:
        """Return the tensors that are quantized when every node that can be int8 is."""
        return plan_tensors(self.graph, {item.name for item in self.able}, self.candidates)

    def open(
        self, model: onnx.ModelProto, outputs: Sequence[str], optimize: bool = True
    ) -> onnxruntime.InferenceSession:
        """Open a small graph of this bench with `outputs` exposed."""
        return open_session(self.write(expose(model, outputs)), optimize)

    def weight(self, item: Compute) -> NDArray[np.float32]:
        """Return a node's float weights."""
        return np.asarray(self.cache.arrays[item.weight], np.float32)

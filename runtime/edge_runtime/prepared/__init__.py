"""What prepare leaves behind for one bundle on one machine, and the cache folder that keeps it."""

from edge_runtime.prepared.cache import PreparedCache, cache_root
from edge_runtime.prepared.files import Measured, Prepared, PreparedBlock, PreparedWhole, StoredWeights
from edge_runtime.prepared.key import prepared_key

__all__ = [
    "Measured",
    "Prepared",
    "PreparedBlock",
    "PreparedCache",
    "PreparedWhole",
    "StoredWeights",
    "cache_root",
    "prepared_key",
]

"""COCO's 80 classes and their ids 1..90 (cocodataset.org): ten ids were never used, and many models count by id."""

from __future__ import annotations

from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = ["COCO_IDS", "by_id"]

COCO_IDS = "the 80 labels are COCO's: the model's class ids are taken for COCO's own, 1..90 with ten that are unused"
_NAMES = 80
_UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


def by_id(labels: tuple[str, ...] | None, post: Postprocess | None) -> tuple[str, ...] | None:
    """Labels for a detector whose class ids are COCO's own: the 80 names in their order get a gap at each unused id.

    Told by the names and by ids that begin with 1, as TensorFlow's, torchvision's and DETR's models have them.
    """
    if labels is None or len(labels) != _NAMES or not isinstance(post, Detect) or post.first_class != 1:
        return labels
    if (labels[0].lower(), labels[-1].lower()) != ("person", "toothbrush"):
        return labels
    names = iter(labels)
    return tuple(f"unused {id_}" if id_ in _UNUSED else next(names) for id_ in range(1, _NAMES + len(_UNUSED) + 1))

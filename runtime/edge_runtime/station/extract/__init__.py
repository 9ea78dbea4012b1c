"""Events taken out of a store with their pictures: as pictures by verdict, as COCO or YOLO has labels."""

"""The passes of an export, one file each, in the order that `edge_export.pipeline.PASSES` lists them."""

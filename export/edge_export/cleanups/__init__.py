"""What makes a graph clean, one file each, in the order that `edge_export.passes.clean` lists them."""

"""`python -m edge_tools.export_bench`."""

from edge_tools.export_bench.cli import main

main()

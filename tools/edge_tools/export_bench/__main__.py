"""`python -m edge_tools.export_bench`: the command, where what it is made of is installed."""

from edge_runtime.cli.console import leave_without

if __name__ == "__main__":
    leave_without("export", "python -m edge_tools.export_bench")
    from edge_tools.export_bench.cli import main

    main()

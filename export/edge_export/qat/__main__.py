"""`python -m edge_export.qat`: the command, where what it is made of is installed; torch is asked for after --help."""

from edge_runtime.cli.console import leave_without

if __name__ == "__main__":
    leave_without("export", "python -m edge_export.qat", install="torch")
    from edge_export.qat.cli import main

    main()

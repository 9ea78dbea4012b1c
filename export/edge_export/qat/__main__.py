"""`python -m edge_export.qat`."""

from edge_export.qat.cli import main

if __name__ == "__main__":
    main()

"""Where the checkout lies, and beside it the data that is never committed (tests skip where it is absent)."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "samples" / "pcb" / "pcb.edge"
SHARED_DATA = ROOT.parent / "shared" / "data"

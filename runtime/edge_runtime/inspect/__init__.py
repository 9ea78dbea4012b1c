"""The pipeline: frames from sources, judged, recorded, to sinks."""

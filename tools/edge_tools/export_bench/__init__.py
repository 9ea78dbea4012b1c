"""The exporters' table: edgeline against others on the same models, calibration and evaluation images."""

"""The certificate of an export: in the manifest, as report.html, and as text."""

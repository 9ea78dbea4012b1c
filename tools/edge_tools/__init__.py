"""Commands that measure: benchmarks, tables, random test models."""

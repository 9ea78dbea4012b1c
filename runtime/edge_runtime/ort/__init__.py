"""The only place that opens onnxruntime: sessions, lanes, providers, threads, what this CPU can run."""

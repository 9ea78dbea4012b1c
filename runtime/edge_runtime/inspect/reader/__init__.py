"""Video files, streams and cameras, decoded in a process of their own."""

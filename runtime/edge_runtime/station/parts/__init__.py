"""Parts: what is judged, from one frame or several of it. One verdict for each."""

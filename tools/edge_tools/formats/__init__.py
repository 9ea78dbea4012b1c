"""Every container, codec and pixel format that ffmpeg writes here, given to the real edge-run: right, or not judged."""

"""What a file is by its name, as far as that tells."""

from __future__ import annotations

from pathlib import Path

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "WATCHED", "looks_like_pictures"]

# A file with such a name is meant to be a picture: when it cannot be read, that is said of it.
IMAGE_SUFFIXES = frozenset(
    {
        *(
            ".apng",
            ".avif",
            ".bmp",
            ".dib",
            ".heic",
            ".heif",
            ".hif",
            ".j2k",
            ".jfif",
            ".jp2",
            ".jpe",
            ".jpeg",
            ".jpg",
            ".mpo",
        ),
        *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".ras", ".sr", ".tif", ".tiff", ".webp"),
        # and kinds that are named and refused
        *(".arw", ".cr2", ".cr3", ".dng", ".exr", ".hdr", ".jxl", ".nef", ".orf", ".pfm", ".psd", ".raf", ".rw2"),
    }
)

VIDEO_SUFFIXES = frozenset(
    {
        ".asf",
        ".avi",
        ".gif",
        ".m4v",
        ".mjpeg",
        ".mjpg",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".ts",
        ".webm",
        ".wmv",
    }
)

# A folder that is watched: what is dropped into it are pictures.
WATCHED = "watch:"


def looks_like_pictures(text: str) -> bool:
    """Return whether a source is plainly no video, stream or camera, without opening it."""
    path = Path(text)
    try:
        return text.startswith(WATCHED) or path.suffix.lower() in IMAGE_SUFFIXES or path.is_dir()
    except (OSError, ValueError):
        return False

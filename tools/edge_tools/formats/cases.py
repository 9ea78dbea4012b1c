"""Which films and pictures are made: tables of containers and codecs; their pixel formats are asked of ffmpeg."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Case", "cases", "pixel_formats"]

SIDE = 640


@dataclass(frozen=True)
class Case:
    """One file: `options` for ffmpeg after its input; a `still` is one picture, all others are films."""

    group: str
    name: str
    suffix: str
    options: tuple[str, ...]
    still: bool = False


# Encoder: the container that holds it best, and what makes it small and good.
_CODECS: dict[str, tuple[str, str]] = {
    "libx264": (".mkv", "-preset ultrafast -crf 14"),
    "libx264rgb": (".mkv", "-preset ultrafast -crf 14"),
    "libx265": (".mkv", "-preset ultrafast -crf 14 -x265-params log-level=none"),
    "libvpx": (".webm", "-b:v 8M -deadline realtime -cpu-used 8"),
    "libvpx-vp9": (".webm", "-b:v 8M -deadline realtime -cpu-used 8"),
    "libaom-av1": (".mkv", "-crf 20 -cpu-used 8 -usage realtime"),
    "libsvtav1": (".mp4", "-preset 12 -crf 20"),
    "mpeg1video": (".mpg", "-q:v 2"),
    "mpeg2video": (".ts", "-q:v 2"),
    "mpeg4": (".avi", "-q:v 2"),
    "libxvid": (".avi", "-q:v 2"),
    "msmpeg4": (".avi", "-q:v 2"),
    "msmpeg4v2": (".avi", "-q:v 2"),
    "wmv1": (".wmv", "-q:v 2"),
    "wmv2": (".wmv", "-q:v 2"),
    "flv": (".flv", "-q:v 2"),
    "h261": (".avi", "-q:v 2 -vf scale=288:288,pad=352:288"),
    "h263": (".3gp", "-q:v 2 -vf scale=576:576,pad=704:576"),
    "h263p": (".avi", "-q:v 2"),
    "rv10": (".rm", "-q:v 2"),
    "rv20": (".rm", "-q:v 2"),
    "svq1": (".mov", "-q:v 2"),
    "cinepak": (".avi", ""),
    "msvideo1": (".avi", ""),
    "rpza": (".mov", ""),
    "smc": (".mov", ""),
    "qtrle": (".mov", ""),
    "mjpeg": (".avi", "-q:v 2 -strict unofficial"),
    "amv": (".avi", "-q:v 2"),
    "ljpeg": (".avi", "-strict unofficial"),
    "jpegls": (".avi", ""),
    "jpeg2000": (".mkv", "-q:v 2"),
    "libopenjpeg": (".mkv", "-q:v 2"),
    "png": (".mov", ""),
    "apng": (".apng", ""),
    "gif": (".gif", ""),
    "libwebp_anim": (".webp", "-lossless 1 -compression_level 0"),
    "ffv1": (".mkv", ""),
    "huffyuv": (".avi", ""),
    "ffvhuff": (".avi", ""),
    "utvideo": (".avi", ""),
    "magicyuv": (".avi", ""),
    "snow": (".avi", "-q:v 2 -strict experimental"),
    "libtheora": (".ogv", "-q:v 9"),
    "vc2": (".mkv", "-strict experimental"),
    "cfhd": (".mov", ""),
    "prores_ks": (".mov", ""),
    "prores_aw": (".mov", ""),
    "dnxhd": (".mov", "-profile:v dnxhr_hq -vf scale=640:640"),
    "dvvideo": (".dv", "-vf scale=576:576,pad=720:576"),
    "hap": (".mov", ""),
    "asv1": (".avi", "-q:v 2"),
    "asv2": (".avi", "-q:v 2"),
    "zlib": (".avi", ""),
    "zmbv": (".avi", ""),
    "flashsv": (".flv", ""),
    "flashsv2": (".flv", ""),
    "roqvideo": (".roq", "-vf scale=512:512 -r 30"),
    "speedhq": (".mkv", "-q:v 2"),
    "qoi": (".mkv", ""),
    "rawvideo": (".nut", ""),
    "r210": (".mov", ""),
    "r10k": (".mov", ""),
    "v210": (".mov", ""),
    "v308": (".mov", ""),
    "v408": (".mov", ""),
    "v410": (".mov", ""),
    "ayuv": (".avi", ""),
    "y41p": (".avi", ""),
    "yuv4": (".mov", ""),
    "targa": (".mov", ""),
    "tiff": (".mov", ""),
    "bmp": (".avi", ""),
    "dpx": (".mov", ""),
    "exr": (".mov", ""),
    "cljr": (".avi", "-strict experimental"),
}

_H264 = "-c:v libx264 -preset ultrafast -crf 14 -pix_fmt yuv420p"
_MPEG2 = "-c:v mpeg2video -q:v 2"
_MPEG4 = "-c:v mpeg4 -q:v 2"
_MJPEG = "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"

_CONTAINERS: dict[str, str] = {
    ".mp4": _H264,
    ".m4v": _H264,
    ".mov": _H264,
    ".mkv": _H264,
    ".avi": _H264,
    ".ts": _H264,
    ".mts": _H264,
    ".m2ts": _H264,
    ".flv": _H264,
    ".f4v": _H264,
    ".3gp": _H264,
    ".3g2": _H264,
    ".ismv": _H264,
    ".asf": _MPEG4,
    ".wmv": _MPEG4,
    ".nut": _MPEG4,
    ".ogv": "-c:v libtheora -q:v 9",
    ".webm": "-c:v libvpx -b:v 8M -deadline realtime -cpu-used 8",
    ".ivf": "-c:v libvpx -b:v 8M -deadline realtime -cpu-used 8",
    ".mpg": _MPEG2,
    ".vob": _MPEG2,
    ".mxf": f"{_MPEG2} -r 25",
    ".gxf": "-c:v mpeg2video -q:v 2 -vf scale=576:576,pad=720:576 -r 25",
    ".wtv": _MPEG2,
    ".swf": "-c:v flv -q:v 2",
    ".mjpeg": _MJPEG,
    ".mjpg": _MJPEG,
    ".y4m": "-pix_fmt yuv420p",
    ".h264": _H264,
    ".hevc": "-c:v libx265 -preset ultrafast -crf 14 -x265-params log-level=none",
    ".m1v": "-c:v mpeg1video -q:v 2",
    ".m2v": _MPEG2,
    ".obu": "-c:v libaom-av1 -crf 20 -cpu-used 8 -usage realtime",
    ".drc": "-c:v vc2 -strict experimental",
    ".avif": "-c:v libaom-av1 -crf 20 -cpu-used 8 -usage realtime",
}

_SPECIAL: dict[str, tuple[str, str]] = {
    "odd size": (".mkv", "-c:v libx264 -preset ultrafast -crf 14 -vf scale=641:639 -pix_fmt yuv444p"),
    "turned by its header": (".mp4", f"{_H264} -metadata:s:v rotate=90"),
    "pixels that are not square": (".mp4", f"{_H264} -vf setsar=4/3"),
    "full range": (".mp4", f"{_H264} -vf scale=out_range=full -color_range pc"),
    "limited range": (".mp4", f"{_H264} -color_range tv"),
    "fragments": (".mp4", f"{_H264} -movflags frag_keyframe+empty_moov"),
    "half a frame a second": (".mp4", f"{_H264} -vf setpts=20*PTS -r 0.5"),
    "an edit list": (".mp4", f"{_H264} -bf 2 -movflags use_metadata_tags"),
    "interlaced h264, top first": (".mp4", f"{_H264} -x264-params tff=1"),
    "interlaced h264, bottom first": (".ts", f"{_H264} -x264-params bff=1"),
    "interlaced mpeg2": (".ts", f"{_MPEG2} -vf setfield=tff -flags +ilme+ildct"),
    "interlaced mpeg2, 4:2:2": (".mxf", f"{_MPEG2} -r 25 -pix_fmt yuv422p -vf setfield=tff -flags +ilme+ildct"),
    "interlaced mpeg4": (".avi", f"{_MPEG4} -vf setfield=tff -flags +ilme+ildct"),
    "interlaced ffv1": (".mkv", "-c:v ffv1 -vf setfield=bff -field_order bb"),
    "interlaced prores": (".mov", "-c:v prores_ks -vf setfield=tff -flags +ildct"),
    "two pictures of one film": (".mkv", "-map 0:v -map 0:v -c:v:0 libx264 -c:v:1 mpeg4 -preset ultrafast -q:v 2"),
}

# Still pictures that ffmpeg writes: encoder and suffix.
_STILLS: dict[str, str] = {
    "png": ".png",
    "mjpeg": ".jpg",
    "bmp": ".bmp",
    "tiff": ".tiff",
    "libwebp": ".webp",
    "jpeg2000": ".jp2",
    "libopenjpeg": ".j2k",
    "pgm": ".pgm",
    "ppm": ".ppm",
    "pam": ".pam",
    "pbm": ".pbm",
    "pfm": ".pfm",
    "targa": ".tga",
    "sgi": ".sgi",
    "sunrast": ".ras",
    "pcx": ".pcx",
    "xwd": ".xwd",
    "xbm": ".xbm",
    "dpx": ".dpx",
    "exr": ".exr",
    "jpegls": ".jls",
    "ljpeg": ".ljpg",
    "libjxl": ".jxl",
    "qoi": ".qoi",
    "fits": ".fits",
    "gif": ".gif",
    "apng": ".apng",
    "alias_pix": ".pix",
}


def cases(most: int | None, formats_of: Callable[[str], list[str]] | None = None) -> Iterator[Case]:
    """Yield every case; of each codec at most so many of its pixel formats, spread over its list; None: all.

    `formats_of` tells an encoder's pixel formats; without it ffmpeg does.
    """
    ask = formats_of or pixel_formats
    for suffix, options in _CONTAINERS.items():
        yield Case("container", suffix, suffix, tuple(options.split()))
    for name, (suffix, options) in _SPECIAL.items():
        yield Case("special", name, suffix, tuple(options.split()))
    for encoder, (suffix, options) in _CODECS.items():
        for pixels in _spread(ask(encoder), most):
            words = ("-c:v", encoder, *options.split(), *(("-pix_fmt", pixels) if pixels else ()))
            yield Case("codec", f"{encoder} {pixels}".strip(), suffix, words)
    for encoder, suffix in _STILLS.items():
        for pixels in _spread(ask(encoder), most):
            words = ("-c:v", encoder, "-frames:v", "1", *(("-pix_fmt", pixels) if pixels else ()))
            yield Case("still", f"{encoder} {pixels}".strip(), suffix, (*words, "-f", "image2"), still=True)


def pixel_formats(encoder: str) -> list[str]:
    """Return what an encoder of this ffmpeg takes: [""] where it does not say; nothing where it has no such encoder."""
    told = subprocess.run(
        ["ffmpeg", "-hide_banner", "-h", f"encoder={encoder}"], capture_output=True, text=True, check=False
    ).stdout
    if f"Encoder {encoder} " not in told:
        return []
    found = re.search(r"Supported pixel formats: (.*)", told)
    return found[1].split() if found else [""]


def _spread(found: list[str], most: int | None) -> list[str]:
    if most is None or len(found) <= most:
        return found
    return [found[round(i * (len(found) - 1) / max(most - 1, 1))] for i in range(most)]

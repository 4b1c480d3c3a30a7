"""The files of sounds, and those that hold sounds which nothing here reads."""

from __future__ import annotations

from audioinv.audio.io import ENDINGS, probe
from audioinv.data.walk import Kind

FOREIGN = frozenset(
    {
        ".3ga", ".3gp", ".aa", ".aac", ".aax", ".ac3", ".ac4", ".act", ".adts", ".alac", ".amr",
        ".ape", ".asf", ".avi", ".awb", ".dff", ".dsf", ".dts", ".dvf", ".eac3", ".f4a", ".flv",
        ".gsm", ".m4a", ".m4b", ".m4p", ".m4r", ".m4v", ".mid", ".midi", ".mka", ".mkv", ".mmf",
        ".mov", ".mp4", ".mpc", ".mpeg", ".mpg", ".msv", ".mxf", ".ogv", ".ogx", ".pcm", ".qcp",
        ".ra", ".ram", ".raw", ".rm", ".rmvb", ".sln", ".spx", ".swf", ".tak", ".tta", ".vob",
        ".vox", ".weba", ".webm", ".wma", ".wmv", ".wv",
    }
)  # fmt: skip
SOUNDS = Kind("audio", ENDINGS, FOREIGN, "convert it: ffmpeg -i OLD NEW.wav", probe)

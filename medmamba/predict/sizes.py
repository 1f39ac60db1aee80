"""Sizes of memory as people write and read them, and what this process holds."""

import os
import re
from pathlib import Path

from ..errors import ConfigError

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_size(text: str | int) -> int:
    """Bytes of a size such as 6G, 1.5 GB, 800M or a plain number; units are powers of 1024.

    Raises ConfigError for anything else, and for text such as "6", which lacks its unit.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", str(text), re.IGNORECASE)
    if match is None or float(match[1]) == 0 or (isinstance(text, str) and float(match[1]) < 2**20 and not match[2]):
        raise ConfigError(f"{text!r} is no size.", "Write it as 6G, 1.5G or 800M.")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def in_words(size: int) -> str:
    """Bytes for people."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"


def resident_memory() -> int:
    """Bytes of this process that are in memory now; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0

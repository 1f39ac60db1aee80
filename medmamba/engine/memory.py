"""Keep freed memory for the next tensor of its size."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's mallopt
_NEVER = 2**31 - 1
_state = {"reused": False}


def reuse_memory() -> bool:
    """Make this process keep what it frees instead of handing every large tensor back to the system.

    glibc maps each large block afresh and unmaps it when it is freed, and every first touch of a page is a call into
    the kernel: about a third of the time of a network on feature maps of 100 MB. What was freed stays with the process
    from now on, up to its peak; there is no way back. The same as starting it with ``MALLOC_MMAP_MAX_=0`` and
    ``MALLOC_TRIM_THRESHOLD_=2147483647``.

    Returns whether this system's C library could do it: glibc only.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - raises where the C library is another one
        _state["reused"] = bool(libc.mallopt(_MMAP_MAX, 0)) and bool(libc.mallopt(_TRIM_THRESHOLD, _NEVER))
        return _state["reused"]
    except (OSError, AttributeError, TypeError):
        return False


def reuses_memory() -> bool:
    """Whether `reuse_memory` has been called in this process, with success."""
    return _state["reused"]

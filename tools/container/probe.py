"""What the container can do, asked from inside: this file is run there, and prints its answers as JSON."""

import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

PARTS = ("site", "predict", "evaluate", "bundle", "dicom")
LIBRARIES = ("highdicom", "matplotlib.pyplot", "skimage.measure", "scipy.ndimage", "SimpleITK", "nibabel", "tifffile")


def writable(folder: str) -> bool:
    """Whether a file can be made in a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def runs_from(folder: str) -> bool:
    """Whether a program in a folder can be started: kernels for the GPU are made at run time."""
    path = os.path.join(folder, "program")
    try:
        shutil.copyfile("/bin/true", path)
        os.chmod(path, 0o700)
        return subprocess.run([path]).returncode == 0
    except OSError:
        return False


def status() -> dict[str, str]:
    """The process's rights, as the kernel tells them."""
    with open("/proc/self/status", encoding="utf-8") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def connects() -> bool:
    """Whether there is a way out; the address belongs to documentation and to nobody."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.settimeout(2)
        try:
            one.connect(("192.0.2.1", 9))
        except OSError as error:
            return "unreachable" not in str(error)
    return True


def imports() -> list[str]:
    """What of medmamba and of its libraries cannot be imported."""
    failed = []
    for name in (*(f"medmamba.{part}" for part in PARTS), *LIBRARIES):
        try:
            importlib.import_module(name)
        except Exception as error:
            failed.append(f"{name}: {error}")
    return failed


def library() -> bool:
    """Whether the compiled library for CPUs is loaded."""
    from medmamba.kernels import library

    return library.load() is not None


def main() -> None:
    """Print everything that is found."""
    own = status()
    places = ("/", "/opt/medmamba", "/usr/local", "/var/tmp", "/run", "/input", "/model", "/output", "/tmp")
    print(
        json.dumps(
            {
                "user": f"{os.getuid()}:{os.getgid()}",
                "rights": [own[name] for name in ("CapEff", "CapPrm", "CapBnd")],
                "no_new_privileges": own.get("NoNewPrivs"),
                "seccomp": own.get("Seccomp"),
                "writable": [place for place in places if writable(place)],
                "runs_from_tmp": runs_from("/tmp"),
                "interfaces": [name for _, name in socket.if_nameindex()],
                "connects": connects(),
                "shm_mib": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize >> 20,
                "compilers": [name for name in ("gcc", "g++", "cc", "clang", "nvcc", "make") if shutil.which(name)],
                "imports_failed": imports(),
                "library": library(),
                "python": sys.version.split()[0],
            }
        )
    )


if __name__ == "__main__":
    main()

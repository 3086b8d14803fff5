"""Description of this machine: enough to judge numbers that were taken on it."""

import importlib.metadata
import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

FLAGS = ("sse4_2", "avx", "avx2", "fma", "aes", "vaes", "bmi2", "avx512f", "avx512dq", "avx512vl", "avx512bw", "asimd")
"""Features of a CPU that these kernels, or those of a peer, may use."""

DISTRIBUTIONS = (
    "caffe-filler", "numpy", "numba", "llvmlite", "tbb", "grpcio", "protobuf", "crc32c", "safetensors",
    "torch", "jax", "jaxlib", "pyarrow", "mkl", "mkl_random",
)  # fmt: skip


def describe() -> dict[str, str]:
    """Return the machine, the system and the versions of all libraries that take part."""
    cpu = _fields("/proc/cpuinfo")
    memory = _fields("/proc/meminfo").get("MemTotal", "0 kB").split()[0]
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    model = "/".join(cpu[key] for key in ("cpu family", "model", "stepping") if key in cpu)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": f"{cpu.get('model name', platform.machine())} ({model})" if model else platform.machine(),
        "CPUs for this process": str(len(os.sched_getaffinity(0))),
        "CPU features": " ".join(flag for flag in FLAGS if flag in flags),
        "caches": ", ".join(_caches()) or "not known",
        "memory": f"{int(memory) / (1 << 20):.1f} GiB",
        "huge pages": _text("/sys/kernel/mm/transparent_hugepage/enabled"),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "Python": sys.version.split()[0],
        "libraries": ", ".join(f"{name} {version(name)}" for name in DISTRIBUTIONS),
    }


def version(distribution: str) -> str:
    """Return the version of what is installed, or that it is not."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _fields(path: str) -> dict[str, str]:
    """The first value of each field of a file of /proc."""
    fields: dict[str, str] = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields


def _caches() -> list[str]:
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_text(str(folder / name)) for name in ("level", "type", "size"))
        if kind != "Instruction" and re.fullmatch(r"\d+K", size):
            found.append(f"L{level} {int(size[:-1])} KiB")
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""

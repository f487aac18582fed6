"""What this machine computes on; libgomp and glibc are asked for memory and threads here alone."""

import contextlib
import ctypes
import os
import sys


def has_gpu() -> bool:
    """Whether `Trainer` finds a GPU; it refuses bf16 on a CPU unless it is asked to use the CPU."""
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def device() -> str:
    """``"cuda: <name>"``, ``"mps"`` or ``"cpu: <n> cores"``; asks torch only where it is loaded."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}"
    if torch is not None and torch.backends.mps.is_available():
        return "mps"
    return f"cpu: {os.cpu_count()} cores"


def peak_memory(anew: bool = False) -> float:
    """MiB that this process had at most: of main memory, or of a GPU since last asked `anew`."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        if anew:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def ranks() -> tuple[int, int]:
    """The number of this process and how many train together, as torchrun and accelerate say."""
    if "LOCAL_RANK" not in os.environ:  # a cluster may set the others for every job
        return 0, 1
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def agreed(value):
    """What rank 0 has as `value`, in every rank: what a clock decides, they must decide alike."""
    from torch import distributed

    values = [value]
    if distributed.is_available() and distributed.is_initialized():
        distributed.broadcast_object_list(values)
    return values[0]


def is_out_of_memory(error: Exception) -> bool:
    """Whether `error` says that the memory of the CPU or GPU was too small."""
    import torch

    words = ("out of memory", "not enough memory", "can't allocate memory", "alloc_cpu")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        word in str(error).lower() for word in words
    )


def release_memory() -> None:
    """Give memory that is free back to the system, where the C library has a call for it (glibc).

    It keeps what a training has freed, in an arena for each thread: gigabytes after a few of them.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def release_threads() -> None:
    """Let the OpenMP workers of this thread go, before another thread trains.

    Where more workers are known than there are cores, libgomp lets each sleep at every pause: on
    two cores the same training took a third longer in a thread (97 against 130 texts a second).
    """
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library["user_api"] == "openmp":
            with contextlib.suppress(AttributeError, OSError):
                ctypes.CDLL(library["filepath"]).omp_pause_resource_all(1)  # omp_pause_soft

"""What a rank finds out about its host: libraries and known traps, the run's storage, the network that NCCL chose."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from eurolm.cluster.preflight_record import Spec
from eurolm.machine.host import versions

PROBE_BYTES = 16 * 2**20
LIBRARIES = ("eurolm", "torch", "deepspeed", "transformers")
IMAGE_VARIABLES = ("SINGULARITY_CONTAINER", "APPTAINER_CONTAINER")


def host_facts(spec: Spec, device: Any) -> dict[str, Any]:
    """Versions, environment and storage of this host; the same keys on every host."""
    return {
        "versions": library_versions(),
        "bundled_rccl": bundled_rccl(),
        "forbidden": {name: os.environ[name] for name in spec.forbidden if name in os.environ},
        "storage": storage(Path(spec.run_dir)),
        "accelerator": device.type,
        **({"deepspeed_checks_gradients": deepspeed_checks_gradients()} if spec.node == 0 else {}),
    }


def library_versions() -> dict[str, str | None]:
    """Installed versions, the ROCm or CUDA that torch was built with, and the image this runs in."""
    import torch

    image = next((os.environ[name] for name in IMAGE_VARIABLES if os.environ.get(name)), None)
    return {**versions(LIBRARIES), "rocm": torch.version.hip, "cuda": torch.version.cuda, "container": image}


def bundled_rccl() -> str | None:
    """Path of an RCCL inside torch itself, as the wheels from PyPI and pytorch.org have: it shadows that of the image
    and knows no Slingshot plugin (LUMI coffee breaks 2026-02 and 2026-03)."""
    import torch

    if not torch.version.hip:
        return None
    found = sorted((Path(torch.__file__).parent / "lib").glob("librccl.so*"))
    return str(found[0]) if found else None


def deepspeed_checks_gradients() -> bool | None:
    """Whether this DeepSpeed looks for non-finite bf16 gradients unless told otherwise (default since pull request
    8035; 0.18.2 and 0.19.2 do not). Null where DeepSpeed is not installed or keeps the setting elsewhere."""
    try:
        from deepspeed.runtime.precision_config import DeepSpeedBF16Config
    except ImportError:
        return None
    value = getattr(DeepSpeedBF16Config(), "check_grad_overflow", None)
    return None if value is None else bool(value)


def storage(run_dir: Path) -> dict[str, Any]:
    """Write, fsync and read back a probe in the run's directory; bytes and files that are free there.

    On Lustre with project quotas statvfs answers for the project; elsewhere a full quota shows as a failed write.
    """
    probe = run_dir / f".preflight-{uuid.uuid4().hex}"
    content = os.urandom(4096) * (PROBE_BYTES // 4096)
    started = time.perf_counter()
    try:
        with probe.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        seconds = time.perf_counter() - started
        same = probe.read_bytes() == content
    except OSError as error:
        return {"error": f"{run_dir}: {error.strerror}"}
    finally:
        probe.unlink(missing_ok=True)
    free = os.statvfs(run_dir)
    return {
        "error": None if same else f"{run_dir}: what was read back differs from what was written",
        "write_mb_per_s": PROBE_BYTES / seconds / 1e6,
        "free_bytes": free.f_bavail * free.f_frsize,
        "free_files": free.f_favail,
    }


def provider_facts() -> dict[str, Any]:
    """The lines of NCCL's log that name its network."""
    pattern = Path(os.environ.get("NCCL_DEBUG_FILE", "/nccl-%p.log"))
    name = pattern.name.replace("%h", "*").replace("%p", str(os.getpid()))
    text = "".join(path.read_text(errors="replace") for path in pattern.parent.glob(name))
    lines = [line.split("NCCL INFO", 1)[-1].strip() for line in text.splitlines()]
    return {"lines": [line for line in lines if "NET/" in line or "provider" in line.lower()][:100]}

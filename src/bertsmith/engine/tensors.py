"""Named tensors to a file, with a refusal of the disk told apart from everything else."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write `tensors` as safetensors, with the user's own file mode.

    Raises OSError where the disk refuses; safetensors' own error is no OSError.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.touch()
    mode = path.stat().st_mode  # safetensors would leave 0600
    try:
        save_file(plain, path, metadata=dict(metadata) if metadata else None)
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        raise OSError(int(code[1]) if code else errno.EIO, str(error), str(path)) from None
    path.chmod(mode)

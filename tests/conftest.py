"""The same tests wherever and whenever they run.

One thread, here and in child processes: small matrices do not repay threads, and a sum's last
digits depend on their number. Examples of property tests are the same every time, unless
`HYPOTHESIS_PROFILE=default` asks for new ones.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

"""One thread, here and in child processes: small matrices do not repay threads, and a sum's last
digits depend on their number."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)

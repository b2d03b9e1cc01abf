"""How long `bertsmith --help` takes, as a process, and whether it imports torch.

python -m benchmarks.startup [--quick]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys

from benchmarks.timing import interleave, ratio

BAR_SECONDS = 0.3


def main() -> None:
    """Print the median of 5 (21) runs against the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 runs, not 21")
    rounds = 5 if parser.parse_args().quick else 21
    command = [sys.executable, "-m", "bertsmith", "--help"]
    times = interleave(
        {
            "help": lambda: subprocess.run(command, check=True, capture_output=True),
            "python": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        },
        rounds,
    )
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", *command[1:]], check=True, capture_output=True
    ).stderr.decode()
    print(f"bertsmith --help: {times['help']:.3f} s; python alone: {times['python']:.3f} s")
    ratio("help_seconds_over_0.3", times["help"] / BAR_SECONDS, 1.0)
    ratio("help_imports_torch", float(names_torch(loaded)), 0.0)


def names_torch(import_times: str) -> bool:
    """Whether torch is in what `python -X importtime` wrote; nested imports are indented."""
    return re.search(r"\|\s+torch$", import_times, re.MULTILINE) is not None


if __name__ == "__main__":
    main()

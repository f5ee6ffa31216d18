"""Five thousand certificates: of one that changes only its own files are read again, also while the others are still proved."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GENKAN_SOURCE_DIR"]) / "tests/bench"))

import many_certificates as many  # noqa: E402

COUNT, CHANGES = 5000, 5


def test_one_of_5000_changes_and_is_read_alone(tmp_path):
    many.make_lineages(tmp_path, COUNT, "ecdsa")
    many.write_config(tmp_path, COUNT)
    running = many.Running(os.environ["GENKAN_BINARY"], tmp_path)
    try:
        status = running.status()
        assert sum(one["in_service"] for one in status["certificates"]) == COUNT
        reads = status["certificate_reads"]
        waits = [many.measure_change(running, tmp_path, number, number + 2, "ecdsa") for number in range(CHANGES)]
        assert running.status()["certificate_reads"] - reads == CHANGES
        # Of this machine and this build, so not asserted.
        print(f"ready after {running.seconds:.1f} s; ms beyond the debounce until it is served, and until it is logged: {waits}")
    finally:
        running.stop()

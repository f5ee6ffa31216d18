"""20 reloads and 3 hand-overs in a minute, under load: no request fails (label long)."""

import os
import tempfile
from pathlib import Path

from support.ca import Lineage
from support.successive import change_over


def test_twenty_reloads_and_three_hand_overs_in_a_minute_fail_no_request(ca):
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        folder = Path(name)
        lineage = Lineage(folder, "a.test", ca.issue("a.test"))
        lineage.path.parent.chmod(0o700)
        change_over(ca, folder, lineage, "nobody" if os.getuid() == 0 else None, reloads=20, hand_overs=3, pause=2.0)

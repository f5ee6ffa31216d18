"""A minute of renewals under load, and memory over hundreds of them."""

from support.ca import Lineage
from support.clients import served_serial
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.swaps_under_load import swap_under_load


def test_150_swaps_in_a_minute_fail_nothing(ca, tmp_path):
    told = swap_under_load(ca, tmp_path, swaps=150, every=0.4, download_mib=1024)
    print(told)
    assert told["failures"] == [] and told["h2_failed"] == 0, told
    assert told["requests"] >= 50_000, told
    assert told["unseen"] == [] and told["slowest"] <= 1.0 and told["swaps"] == 150, told
    assert told["were_downloading"] == [True, True] and told["hashes_right"] == [True, True], told


def test_swaps_through_files_leave_no_memory_and_no_descriptor(ca, origin, tmp_path):
    """What one thread takes and another frees fills the lists of free blocks (base/allocator.h), a quarter of a MiB for
    each of three threads: within the first hundred, for the most part."""
    early, last = 100, 300
    issued = [ca.issue("a.test") for _ in range(last + 1)]
    lineage = Lineage(tmp_path, "a.test", issued[0])
    config = "workers = 2\n" + LISTENERS + f"""
[certificates]
trust_store = "{ca.root}"
[[site]]
names = ["a.test"]
certificates = ["{lineage.path}"]
upstream = "{origin.url}"
"""
    seen = {}
    with Genkan(tmp_path, config) as genkan:
        for number, one in enumerate(issued[1:], start=1):
            lineage.renew(one)
            eventually(lambda: served_serial(genkan.tls_port, "a.test") == one.serial, what=f"renewal {number}", every=0.05)
            if number in (early, last):
                seen[number] = genkan.memory_bytes(), genkan.descriptors()
        print("memory and descriptors by swaps:", seen)
        assert seen[last][0] - seen[early][0] < 1 << 20, seen
        assert abs(seen[last][1] - seen[early][1]) <= 2, seen

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


def test_300_swaps_through_files_leave_no_memory_and_no_descriptor(ca, origin, tmp_path):
    issued = [ca.issue("a.test") for _ in range(300)]
    lineage = Lineage(tmp_path, "a.test", issued[0])
    config = LISTENERS + f"""
[certificates]
trust_store = "{ca.root}"
[[site]]
names = ["a.test"]
certificates = ["{lineage.path}"]
upstream = "{origin.url}"
"""
    with Genkan(tmp_path, config) as genkan:
        for number, one in enumerate(issued[1:], start=1):
            lineage.renew(one)
            eventually(lambda: served_serial(genkan.tls_port, "a.test") == one.serial, what=f"renewal {number}", every=0.05)
            if number == 100:
                memory, descriptors = genkan.memory_bytes(), genkan.descriptors()
        print("growth over 199 swaps:", genkan.memory_bytes() - memory)
        assert genkan.memory_bytes() - memory < 1 << 20
        assert abs(genkan.descriptors() - descriptors) <= 2

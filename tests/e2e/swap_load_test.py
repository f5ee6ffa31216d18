"""Ten seconds of renewals under load: nothing fails. (swap_long_test.py is the same for a minute, with a gigabyte.)"""

from support.swaps_under_load import swap_under_load


def test_swaps_under_load_fail_nothing(ca, tmp_path):
    told = swap_under_load(ca, tmp_path, swaps=12, every=0.8, download_mib=64, keep_rate=30)
    assert told["failures"] == [] and told["h2_failed"] == 0, told
    assert told["were_downloading"] == [True, True] and told["hashes_right"] == [True, True], told
    assert told["swaps"] >= 1 and 11 not in told["unseen"], told

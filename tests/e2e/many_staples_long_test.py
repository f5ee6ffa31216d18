"""A thousand certificates whose staples come from one responder: it is not overrun, and what each costs is bounded."""

import re

from support.ca import Lineage, OcspResponder
from support.clients import s_client
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan

COUNT = 1000
MOST_AT_ONCE = 4
KIB = 1024


def config(ca, lineages, origin):
    return f'{LISTENERS}\n[certificates]\ntrust_store = "{ca.root}"\n' + "".join(f"""
[[site]]
names = ["n{i}.many.test"]
certificates = ["{lineage.path}"]
upstream = "{origin.url}"
""" for i, lineage in enumerate(lineages))


def stapled(genkan):
    """By the log: a status of a thousand, asked for again and again, would be most of the work."""
    return len(set(re.findall(r"ocsp_stapled certificate=(\S+)", genkan.log())))


def run_genkan(folder, ca, lineages, origin):
    return Genkan(folder, config(ca, lineages, origin), start_within=120)


def test_a_responder_of_a_thousand_has_four_questions_at_most_and_each_costs_little(ca, origin, tmp_path):
    with OcspResponder(ca) as responder:
        issued = ca.issue_many(COUNT, "*.many.test", ocsp_url=responder.url)
        lineages = [Lineage(tmp_path, f"n{i}", one) for i, one in enumerate(issued)]
        with run_genkan(tmp_path / "one", ca, lineages[:1], origin) as genkan:
            eventually(lambda: stapled(genkan) == 1, longest=60, what="its staple")
            with_one = genkan.own_memory_bytes()

        responder.requests = responder.most_at_once = 0
        responder.gathers = MOST_AT_ONCE
        with run_genkan(tmp_path / "all", ca, lineages, origin) as genkan:
            eventually(lambda: stapled(genkan) == COUNT, longest=300, every=0.5, what="a staple for each")
            each = (genkan.own_memory_bytes() - with_one) / (COUNT - 1)
            print(f"{responder.requests} questions, {responder.most_at_once} at once; {each / KIB:.1f} KiB each")
            assert responder.most_at_once == MOST_AT_ONCE
            assert each < 64 * KIB
            last = s_client(genkan.tls_port, f"n{COUNT - 1}.many.test", "-status", ca=ca.root)
            assert "Cert Status: good" in last, last

            # From the disk: with all of them there, nobody is asked.
            asked = responder.requests
            genkan.restart()
            last = s_client(genkan.tls_port, f"n{COUNT - 2}.many.test", "-status", ca=ca.root)
            assert "Cert Status: good" in last, last
            assert responder.requests == asked

"""certbot issues and renews through genkan, from Pebble, while everything else is denied and load runs."""

import threading
import time

from support.clients import curl, curl_status, served_serial
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.load import Load
from support.pebble import Certbot, Pebble
from support.quick_origin import QuickOrigin

QUIET = 5.0  # load before certbot begins and after it has ended


def config(certbot_folder, origin):
    """a.test: all is denied but /load; locked.test: all is denied. One lineage that does not exist yet."""
    lineage = f"{certbot_folder}/config/live/a.test"
    return LISTENERS + f"""
[acme_challenge]
webroot = ["{certbot_folder}/webroot"]

[module.locked]
use  = "url_filter"
deny = ["/*", "/.*"]
[module.mostly_locked]
use   = "url_filter"
deny  = ["/*", "/.*"]
allow = ["/load"]

[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{origin.url}"
modules      = ["mostly_locked"]
[[site]]
names        = ["locked.test"]
certificates = ["{lineage}"]
upstream     = "{origin.url}"
modules      = ["locked"]
"""


class FileWatch:
    """When fullchain.pem first had other contents than now: seconds since 1970."""

    def __init__(self, path):
        self._path, self._before = path, path.read_bytes()
        self._stop = threading.Event()
        self.changed_at = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.01):
            try:
                if self._path.read_bytes() != self._before:
                    self.changed_at = time.time()
                    return
            except OSError:
                pass  # certbot removes a symlink before it makes the new one


def test_certbot_issues_and_renews_through_genkan_under_load(ca, tmp_path):
    folder = tmp_path / "certbot"
    with QuickOrigin() as origin, Genkan(tmp_path, config(folder, origin)) as genkan, \
            Pebble(tmp_path, ca, http_port=genkan.plain_port) as pebble:
        certbot = Certbot(tmp_path, pebble, ca)
        assert served_serial(genkan.tls_port, "a.test") is None
        assert curl_status(genkan, "a.test", "/.well-known/acme-challenge/nobody-asked", tls=False) == 404

        certbot.issue("a.test", "locked.test")
        first = eventually(lambda: served_serial(genkan.tls_port, "a.test"), longest=60,
                           what="the issued certificate is served")
        root = pebble.root(tmp_path / "pebble-root.pem")
        assert curl(genkan, "a.test", "/load", ca=root).stdout == QuickOrigin.BODY
        assert curl_status(genkan, "a.test", "/other", ca=root) == 403
        assert curl_status(genkan, "locked.test", "/load", ca=root) == 403

        pid = genkan.pid
        with Load(genkan.tls_port, "a.test", root, path="/load", expect=QuickOrigin.BODY, keep=16, keep_rate=125,
                  new=6, new_rate=20) as load, FileWatch(certbot.live("a.test") / "fullchain.pem") as files:
            time.sleep(QUIET)
            certbot.renew()
            time.sleep(QUIET)
            eventually(lambda: genkan.status()["traffic"]["responses"]["2xx"] > 21_000, longest=240,
                       every=0.5, what="21,000 requests")
            report = load.stop()

        renewed = served_serial(genkan.tls_port, "a.test")
        print(report.summary())
        assert report.failures == [], report.summary()
        assert renewed != first and set(report.serials) == {first, renewed}, report.serials
        published = report.first_seen(renewed)
        print(f"files at {files.changed_at:.2f}, served {published - files.changed_at:.2f} s later, "
              f"{report.under_way(published - 0.5, published + 0.5)} requests within 1 s around, "
              f"{report.new_connections(renewed)} new connections saw it")
        # The program's own time: what the clients saw of it is as late as they are on a busy machine.
        swapped = eventually(lambda: genkan.swapped_at(renewed), what="the swap in the log")
        assert swapped - files.changed_at <= 2.0
        assert published - swapped <= 10.0
        assert len(report.requests) >= 20_000, report.summary()
        # Of a second around it, at least a quarter of what there was in any other one.
        assert report.under_way(published - 0.5, published + 0.5) >= report.rate() / 4, report.summary()
        assert report.new_connections(renewed) >= 50
        assert genkan.pid == pid and genkan.is_running
        assert genkan.certificate(site="a.test")["swaps"] >= 1

"""Waiting for a condition instead of for a time, and programs that may not run for ever."""

import subprocess
import time


def eventually(condition, longest=60.0, what="the condition", every=0.02):
    """The first true value of condition(); AssertionError when there is none in `longest` seconds.

    Only a test that fails waits for so long: the machine that runs it may be ten times slower than the one before.
    """
    deadline = time.monotonic() + longest
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {longest} s; last seen: {value!r}")
        time.sleep(every)


def run(argv, longest=60.0, input=None, env=None, check=False):
    """A program with its output as text (stdout, stderr, returncode); killed after `longest` seconds.

    Without input its stdin is at its end. check: a failure raises with both outputs.
    """
    given = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    done = subprocess.run([str(arg) for arg in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", errors="replace", timeout=longest, env=env, **given)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n"
                             f"{done.stdout}\n{done.stderr}")
    return done

# SPDX-License-Identifier: MIT
"""A private PostgreSQL cluster that a story may kill -9, stop and start again."""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

from world import StoryFailed, StorySkipped, free_port, wait_until


def binaries():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[-2]))
    if not found:
        raise StorySkipped("no PostgreSQL server is installed")
    return found[-1]


class Cluster:
    """initdb in a folder of its own; root runs it as user postgres, because PostgreSQL does not run as root."""

    def __init__(self, settings=""):
        self.bin = binaries()
        self.folder = tempfile.mkdtemp(prefix="superx-cluster-")
        self.user = None
        if os.geteuid() == 0:
            self.user = pwd.getpwnam("postgres")
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.data = os.path.join(self.folder, "data")
        self.port = free_port()
        self.process = None
        subprocess.run([f"{self.bin}/initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-N", "-E", "UTF8",
                        "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, **self._as_user())
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write(f"\nport={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{self.folder}'\n"
                    f"fsync=on\nsynchronous_commit=on\nfull_page_writes=on\nmax_connections=60\nshared_buffers=64MB\n"
                    f"{settings}\n")
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.start()
        self.psql("CREATE DATABASE orchestrator_test")
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/orchestrator_test"

    def _as_user(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": [], "cwd": self.folder} \
            if self.user else {}

    def start(self):
        self.process = subprocess.Popen([f"{self.bin}/postgres", "-D", self.data], stdout=self.log, stderr=self.log,
                                        start_new_session=True, **self._as_user())
        wait_until("PostgreSQL answers", self._answers, 60)

    def _answers(self):
        if self.process.poll() is not None:
            raise StoryFailed("PostgreSQL did not start: " + open(os.path.join(self.folder, "log")).read()[-800:])
        return subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

    def psql(self, sql, database="postgres"):
        done = subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port),
                               "-U", "postgres", database, "-c", sql], capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise StoryFailed(f"psql: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def kill(self):
        """kill -9 of the postmaster and all its children, and reap: a zombie would hold the lock files."""
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True,
                                  text=True).stdout.split()
        self.process.kill()
        for pid in children:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        # Shared memory and sockets go with the last child.
        wait_until("its children are gone", lambda: not any(os.path.exists(f"/proc/{p}") for p in children))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # fast shutdown
            self.process.wait(60)

    def close(self):
        self.stop()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

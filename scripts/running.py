"""A weir that a script starts, asks and ends."""

import json
import os
import pathlib
import re
import subprocess
import sys


class Weir:
    """A weir, in a `with` statement: it ends with it, whatever happens. It has a folder of its own below `folder`."""

    def __init__(self, binary, folder, name, config, environment=None):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        listen = {"data": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        # JSON is YAML.
        (self.folder / "weir.yaml").write_text(json.dumps({"listen": listen, **config}))
        # To a file, as a container's log goes: writing it is part of the price.
        self.log = (self.folder / "stderr").open("w")
        self.process = subprocess.Popen(
            [binary, "serve", "--config", "weir.yaml"],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env={**os.environ, **(environment or {})})
        for line in self.process.stdout:
            if line.startswith("weir ready"):
                self.url = re.search(r"data=(\S+)", line)[1]
                return
        sys.exit((self.folder / "stderr").read_text())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        status = self.process.wait(60)
        self.log.close()
        if status != 0 and kind is None:
            sys.exit(f"weir ended with {status}:\n{(self.folder / 'stderr').read_text()}")

    def cpu_s(self):
        """User and system time so far, in seconds."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""The container image: built by buildah, and run as a container engine runs it."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.project import PROJECT

(BASE,) = re.findall(r"^ARG BASE=(\S+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
# On the CI machine, beside the clone: makes an image of the base's name where no registry is reached.
STAND_IN = PROJECT.parent / "shared" / "tools" / "base-image.sh"
NAME = "localhost/miso-scrapy-test"
# Start $4... as the first process of a container of the root $1, with the data $2 and the user $3. Only
# the data and /tmp can be written.
CONTAINER = """
root=$1 data=$2 user=$3; shift 3
mount --bind "$root" "$root"
mount --bind "$data" "$root/data"
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" "$root" env -i "$@"
"""
UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")


class Image:
    """The image of the project: `.root` is the root directory of a container of it."""

    def __init__(self, base):
        self.base = base
        tag = _content(base)
        self.name = f"{NAME}:{tag}"
        if not _buildah("images", "--quiet", self.name, check=False):
            _remove_old()
            _buildah("bud", "--isolation", "chroot", "--format", "docker", "--tag", self.name, ".")
            _buildah("from", "--name", tag, self.name)
        self.root = _buildah("mount", tag)
        self.config = _inspected(self.name)["Docker"]["config"]

    def megabytes_beyond_base(self):
        """Return the size of its layers, without those of the base, in MB."""
        size, base = (
            sum(layer["size"] for layer in json.loads(_inspected(name)["Manifest"])["layers"])
            for name in (self.name, self.base)
        )
        return (size - base) / 1e6


class Container:
    """A container of *image* that keeps its data in the directory *data*.

    Its network is that of the machine.
    """

    def __init__(self, image, data):
        self.config = image.config
        user = self.config["User"]
        data.mkdir(exist_ok=True)
        os.chown(data, *map(int, user.split(":")))
        self._start = (*UNSHARE, "bash", "-ec", CONTAINER, "container", image.root, str(data), user)

    def start(self, *command, env=None, entrypoint=None, output=subprocess.PIPE):
        """Start the image's command, or *command*; return the process."""
        environment = [*self.config["Env"], *(f"{name}={env[name]}" for name in env or ())]
        entrypoint = self.config["Entrypoint"] if entrypoint is None else entrypoint
        return subprocess.Popen(
            [
                *self._start,
                f"--chdir={self.config['WorkingDir']}",
                *environment,
                *entrypoint,
                *(command or self.config["Cmd"]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command, **options):
        """Run the image with *command*; return its exit status and its output."""
        with self.start(*command, **options) as process:
            output, _ = process.communicate(timeout=60)
        return process.returncode, output

    @staticmethod
    def send(process, number):
        """Send the signal *number* to the first process of the container."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        os.kill(int(children.read_text()), number)

    def stop(self, process):
        """Send SIGTERM to the first process of the container; return its exit status and the rest.

        A container engine waits 10 seconds before it sends SIGKILL.
        """
        self.send(process, signal.SIGTERM)
        try:
            output, _ = process.communicate(timeout=10)
        finally:
            process.kill()
        return process.returncode, output


def built(lock):
    """Return the image; skip the test where there can be none.

    The image and the root of its containers are kept in buildah's store: the next run of the suite
    uses them if nothing has changed that they are made of. *lock* is a file: two processes must not
    build at once.
    """
    if not shutil.which("buildah") or os.geteuid() != 0:
        pytest.skip("needs buildah, and root to run it")
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("this machine has no namespaces to run a container in")
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if STAND_IN.exists():
            subprocess.run(["bash", STAND_IN], capture_output=True, check=True)
        if not (base := _buildah("pull", "--quiet", BASE, check=False)):
            pytest.skip(f"the base image {BASE} cannot be pulled")
        return Image(base)


def _remove_old():
    """Remove the images of earlier contents, but not those that another run may be using."""
    for image in json.loads(_buildah("images", "--json")):
        for name in image["names"] or ():
            repository, _, tag = name.rpartition(":")
            if repository == NAME and image["created"] < time.time() - 3600:
                _buildah("rm", tag, check=False)
                _buildah("rmi", name, check=False)


def _content(base):
    """Return a hash of what the image is made of: the base and the files that Docker is sent."""
    digest = hashlib.sha256(base.encode())
    sent = re.findall(r"^!(\S+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    for name in ("Dockerfile", ".dockerignore", *sent):
        path = PROJECT / name
        for file in sorted(path.rglob("*") if path.is_dir() else [path]):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(PROJECT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _inspected(name):
    return json.loads(_buildah("inspect", "--type", "image", name))


def _buildah(*args, check=True):
    """Return what buildah prints, or "" where it fails and *check* is false."""
    done = subprocess.run(
        ["buildah", "--storage-driver", "vfs", *args], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return "" if done.returncode else done.stdout.strip()

"""The project as a clean clone has it."""

import shutil
import subprocess

from tests.support.project import PROJECT


def clone_to(directory):
    """Make *directory* a repository of the project's files, as they are now, and nothing else."""
    for name in _git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard"):
        if (PROJECT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, directory / name)
    _git(directory, "init", "--quiet")
    _git(directory, "add", "--all")
    return directory


def changed_in(directory):
    """Return the files that were changed, added or removed since, but for what git ignores."""
    return _git(directory, "ls-files", "--modified", "--deleted", "--others", "--exclude-standard")


def _git(directory, *args):
    done = subprocess.run(
        ["git", *args], cwd=directory, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.splitlines()

"""Files that are written whole or not at all, whatever interrupts: a full disk, an error, Ctrl-C, a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

TEMPORARY = ".tmp"
"""How the names of files end that are being written; they begin with a dot."""
NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EXDEV}
"""How file systems say that they know no hard links."""


def write_whole(path: Path, raw: bytes) -> None:
    """Write a file that is there in full or not at all.

    A temporary file in the same folder reaches the disk first, then takes the name in one step; an error removes it.
    """
    write_all({path: raw})


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write several files: where one cannot be, none is, and what had their names before stays."""
    with ExitStack() as stack:
        ready = [
            (path, _target(path), stack.enter_context(_waiting(path, _target(path), raw)))
            for path, raw in contents.items()
        ]
        for path, target, temporary in ready:
            with _named(path):
                if temporary is None:
                    target.write_bytes(contents[path])
                else:
                    os.replace(temporary, target)
    for folder in {target.parent for _, target, temporary in ready if temporary is not None}:
        _sync_folder(folder)


def create_whole(path: Path, raw: bytes) -> bool:
    """Write a file that is there in full or not at all, unless there is one; whether it was written."""
    with _waiting(path, path, raw) as temporary, _named(path):
        if temporary is None:
            return False
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            try:
                with open(path, "xb") as stream:
                    stream.write(raw)
            except FileExistsError:
                return False
    _sync_folder(path.parent)
    return True


def _target(path: Path) -> Path:
    """Where a link points to: the link itself is to stay one."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextmanager
def _waiting(path: Path, target: Path, raw: bytes) -> Iterator[Path | None]:
    """The content on disk under another name, removed in the end if it is still there; None for pipes and devices."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{os.strerror(errno.EISDIR)}; choose another name", os.fspath(path))
    if target.exists() and not target.is_file():
        yield None
        return
    temporary = target.with_name(f".{target.name[:40]}.{os.urandom(4).hex()}{TEMPORARY}")
    try:
        with _named(path), open(temporary, "xb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
            with contextlib.suppress(OSError):  # a file that is written anew stays as private, or public, as it was
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors that name the file that was meant, and the remedy."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        remedy = "make room" if error.errno in NO_ROOM else "check the path and its permissions"
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"{reason}; nothing was written, {remedy} and try again"
        raise type(error)(error.errno, message, os.fspath(path)) from error


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut; some network file systems cannot and need not."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)

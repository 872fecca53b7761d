"""Starts a child program: drops root, asks the kernel for a signal when the parent ends, then execs the program.

Run as a script, `python -I -S launch.py PARENT SIGNAL OWNED PROGRAM ARGUMENT...`, because all of this must happen in the new process,
before the program starts and in one thread only. PARENT is the process id that it must not outlive, SIGNAL the signal to get when that
process ends; OWNED is a directory that the program must own once root is dropped, or `-` for a program that may be root.

PostgreSQL refuses to run as root. We first try a user namespace in which we are called `nobody` and are root outside: no file changes
its owner, and a checkout under /root stays reachable. Where namespaces are not allowed (most containers) we really become `nobody`:
the directory is given to that user and, when a directory above it is closed to others, the capability to enter it is kept. A user id
without a name, as containers have, gets that name in a namespace, or cannot start a server.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000  # linux/sched.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2  # linux/securebits.h
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1  # linux/capability.h; in the default set of containers, which CAP_DAC_READ_SEARCH is not
CAPABILITY_VERSION_3 = 0x20080522
ROOT = 0


def main(arguments: list[str]) -> None:
    """Drop root if needed, tie our life to the parent, exec the program; does not return.

    Raises:
        OSError: when the kernel refuses a step; the message names it.
    """
    parent, death_signal, owned, program, *rest = arguments
    if owned != "-":
        if os.geteuid() == ROOT:
            drop_root(Path(owned), Path(program))
        elif os.geteuid() not in {user.pw_uid for user in pwd.getpwall()}:
            take_name()
    # After the change of user, which resets PR_SET_PDEATHSIG (prctl(2)).
    end_with(int(parent), int(death_signal))
    os.execv(program, [program, *rest])  # noqa: S606 deliberately without a shell


def end_with(parent: int, death_signal: int) -> None:
    """Get `death_signal` when `parent` ends; exit now if it has ended already. Linux only: elsewhere the next start ends orphans."""
    if sys.platform != "linux":
        return
    system("prctl", PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that started this server has gone")


def drop_root(owned: Path, program: Path) -> None:
    """Stop being root, with `owned` still our own and `program` still reachable."""
    user = ordinary_user()
    if namespaces_work(user):
        change_owner(owned, ROOT, os.getegid())
        enter_namespace(user)
    else:
        change_owner(owned, user.pw_uid, user.pw_gid)
        switch_user(user, keep_access=not (reachable(owned) and reachable(program)))


def take_name() -> None:
    """Enter a namespace in which our user id has a name: initdb refuses one without."""
    user = ordinary_user()
    if not namespaces_work(user):
        sys.exit(
            f"initdb refuses the user id {os.geteuid()}, which has no name here, and user namespaces are not allowed. Add a line for it to "
            "/etc/passwd, start as root or as a user with a name, or use servers of your own: DATABASE_URL and REDIS_URL"
        )
    enter_namespace(user)


def ordinary_user() -> pwd.struct_passwd:
    """The user `nobody`, or any other that is not root: initdb needs a user id with a name."""
    users = sorted((user for user in pwd.getpwall() if user.pw_uid != ROOT), key=lambda user: user.pw_name != "nobody")
    if not users:
        sys.exit("this system has no user but root, and PostgreSQL refuses to run as root")
    return users[0]


def namespaces_work(user: pwd.struct_passwd) -> bool:
    """True when a user namespace can be entered. Tried in a child: a half-entered namespace cannot be left."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        enter_namespace(user)
    except OSError:
        os._exit(1)
    os._exit(0)


def enter_namespace(user: pwd.struct_passwd) -> None:
    """Enter a namespace: `user` inside, root outside (user_namespaces(7))."""
    uid, gid = os.geteuid(), os.getegid()
    system("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{user.pw_gid} {gid} 1")
    Path("/proc/self/uid_map").write_text(f"{user.pw_uid} {uid} 1")


def change_owner(directory: Path, uid: int, gid: int) -> None:
    """Make `uid` the owner of `directory` and its contents, unless it is already."""
    if directory.stat().st_uid == uid:
        return
    for folder, _, files in os.walk(directory):
        for path in (folder, *(os.path.join(folder, file) for file in files)):  # noqa: PTH118 os.walk yields strings
            os.chown(path, uid, gid, follow_symlinks=False)


def reachable(path: Path) -> bool:
    """True when every user may enter every directory above `path`."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.absolute().parents)


def switch_user(user: pwd.struct_passwd, *, keep_access: bool) -> None:
    """Become `user` for good; with `keep_access`, still enter directories that only root may."""
    if keep_access:
        # Keeps the capabilities over the change of user, and makes access(2), which initdb calls, respect them.
        system("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    if keep_access:
        keep_capability(CAP_DAC_OVERRIDE)


def keep_capability(capability: int) -> None:
    """Carry one capability, and no other, over the coming exec (capabilities(7), ambient set)."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << capability
    # effective, permitted, inheritable; the second three are the capabilities from 32 on
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    system("capset", header, sets)
    system("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def system(call: str, *arguments: object) -> None:
    """Call a function of the C library.

    Raises:
        OSError: when it fails.
    """
    library = ctypes.CDLL(None, use_errno=True)
    widened = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]
    if getattr(library, call)(*widened) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")


if __name__ == "__main__":
    main(sys.argv[1:])

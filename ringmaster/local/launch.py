"""Becomes a server: lets go of root, asks the kernel to be ended with its parent, then turns into the program.

Run as a file of its own, `python -I -S launch.py PARENT SIGNAL OWNED PROGRAM ARGUMENT...`, because what it does must happen in the new
process, before the program starts and in one thread only. PARENT is the process id it must not outlive, SIGNAL what to get when that
ends; OWNED is a directory the program must own when root is let go of, or `-` for a program that may be root.

PostgreSQL refuses to run as root. The first way out is a user namespace in which we are called `nobody` and are root outside: no
file changes hands, and a checkout under /root can be entered. Where there are none (most containers) it is the user `nobody` for real:
the directory is given to it, and, when the way to the files is barred, the capability to pass.

Stands beside the road of a call: it starts the servers that the road runs over.
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
    """Do what the module says; does not return.

    Raises:
        OSError: when the kernel refuses a step; the message names it.
    """
    parent, goodbye, owned, program, *rest = arguments
    if owned != "-" and os.geteuid() == ROOT:
        let_go_of_root(Path(owned), Path(program))
    # After the change of user, which makes the kernel forget it (prctl(2), PR_SET_PDEATHSIG).
    end_with(int(parent), int(goodbye))
    os.execv(program, [program, *rest])  # noqa: S606 a shell is what we do not want


def end_with(parent: int, goodbye: int) -> None:
    """Get `goodbye` when `parent` ends; end now if it has ended already. Linux only: elsewhere the next start ends what was left."""
    if sys.platform != "linux":
        return
    system("prctl", PR_SET_PDEATHSIG, goodbye, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that started this server has gone")


def let_go_of_root(owned: Path, program: Path) -> None:
    """Stop being root, keeping the way to `program` and the ownership of `owned`."""
    user = ordinary_user()
    if namespaces_work(user):
        give(owned, ROOT, os.getegid())
        enter_namespace(user)
    else:
        give(owned, user.pw_uid, user.pw_gid)
        become(user, keep_way=not (reachable(owned) and reachable(program)))


def ordinary_user() -> pwd.struct_passwd:
    """The user `nobody`, or any other that is not root: initdb asks for a name, so the id must have one."""
    users = sorted((user for user in pwd.getpwall() if user.pw_uid != ROOT), key=lambda user: user.pw_name != "nobody")
    if not users:
        sys.exit("this system has no user but root, and PostgreSQL refuses to run as root")
    return users[0]


def namespaces_work(user: pwd.struct_passwd) -> bool:
    """Try it in a child: a half-entered namespace cannot be left."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        enter_namespace(user)
    except OSError:
        os._exit(1)
    os._exit(0)


def enter_namespace(user: pwd.struct_passwd) -> None:
    """Be `user` inside and root outside (user_namespaces(7))."""
    uid, gid = os.geteuid(), os.getegid()
    system("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{user.pw_gid} {gid} 1")
    Path("/proc/self/uid_map").write_text(f"{user.pw_uid} {uid} 1")


def give(directory: Path, uid: int, gid: int) -> None:
    """Make `uid` the owner of `directory` and all in it, unless it is already."""
    if directory.stat().st_uid == uid:
        return
    for folder, _, files in os.walk(directory):
        for path in (folder, *(os.path.join(folder, file) for file in files)):  # noqa: PTH118 os.walk speaks in strings
            os.chown(path, uid, gid, follow_symlinks=False)


def reachable(path: Path) -> bool:
    """True when anybody may pass through every directory above `path`."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.absolute().parents)


def become(user: pwd.struct_passwd, *, keep_way: bool) -> None:
    """Be `user` for good; with `keep_way`, still pass where only root may."""
    if keep_way:
        # Not only so that the change of user leaves capabilities alone: without it access(2), which initdb asks, knows none.
        system("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    if keep_way:
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
    """Call the C library.

    Raises:
        OSError: when it answers with an error.
    """
    library = ctypes.CDLL(None, use_errno=True)
    widened = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]
    if getattr(library, call)(*widened) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Every hook tool, as a hook calls it: hands its arguments to the agent and prints what comes back.

Not imported: the agent writes this file into the tools' folder, below a line that names its interpreter, and links each
tool's name to it. It starts as fast as a bare interpreter, because it imports nothing but what is built in, and leaves
without the interpreter's clean-up. What the frames mean is in `wire.py`.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

NAME = sys.argv[0].rpartition("/")[2]
IN_DEPOSED = posix.environ.get(b"JUJU_HOOK_NAME") == b"leader-deposed"
connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)


def leave(code: int, stdout: bytes = b"", stderr: bytes = b"") -> "NoReturn":
    """End the process at once, having printed what there is to print."""
    for file, data in ((1, stdout), (2, stderr)):
        view = memoryview(data)
        while view:
            try:
                view = view[posix.write(file, view) :]
            except OSError:
                code = code or 1
                break
    posix._exit(code)


def fail(message: str) -> "NoReturn":
    """End with one clear line, as Juju's tools do."""
    leave(1, b"", b"ERROR " + message.encode("utf-8", "surrogateescape") + b"\n")


def variable(name: str) -> bytes:
    """A variable of the hook's environment, which must be set."""
    value = posix.environ.get(name.encode())
    if not value:
        fail(name + " not set")
    return value


def without_agent(why: str) -> "NoReturn":
    """What a tool does that gets no answer."""
    # A leader-deposed may outlive its agent: what it needs to end its work must not fail, and a guess is never True.
    if IN_DEPOSED and NAME == "is-leader":
        leave(0, b"false\n" if any("json" in word or "yaml" in word for word in sys.argv) else b"False\n")
    if IN_DEPOSED and NAME == "juju-log":
        leave(0, b"", " ".join(sys.argv[1:]).encode("utf-8", "surrogateescape") + b"\n")
    fail("the agent is gone: " + why)


def send(kind: bytes, body: bytes) -> None:
    """Send one frame."""
    connection.sendall((len(body) + 1).to_bytes(4, "big") + kind + body)


def receive() -> tuple[bytes, bytes]:
    """The next frame: the agent sends one at a time, and never unasked."""
    data = connection.recv(65536)
    while data and len(data) < 4 + int.from_bytes(data[:4], "big"):
        more = connection.recv(1 << 20)
        if not more:
            break
        data += more
    if len(data) < 5:
        without_agent("it hung up")
    return data[4:5], data[5:]


def read(name: bytes) -> bytes:
    """A file that the agent asks for: the caller opens it, for it is named as the caller sees it. Raises OSError."""
    file = 0 if name == b"-" else posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC)
    parts = []
    size = 0
    while part := posix.read(file, 1 << 20):
        parts.append(part)
        size += len(part)
        if size >= 1 << 24:
            raise OSError(0, "more than 16 MiB")
    return b"".join(parts)


def too_late(boot_ns: int, raw_ns: int) -> bool:
    """Whether an answer that may be printed until then may not be printed any more; see `clock.Instant`."""
    if not boot_ns:
        return False
    mono = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    raw = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    return boot >= boot_ns or raw + boot - mono >= raw_ns


def answer(body: bytes) -> None:
    """Print an answer and leave; return when it came too late to be printed."""
    numbers, _, body = body.partition(b"\n")
    code, boot_ns, raw_ns, name_length, length, _ = map(int, numbers.split())
    name, body = body[:name_length], body[name_length:]
    stdout, stderr = body[:length], body[length:]
    if name:
        try:
            file = posix.open(name, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o644)
            if not too_late(boot_ns, raw_ns):
                view = memoryview(stdout)
                while view:
                    view = view[posix.write(file, view) :]
                leave(code, b"", stderr)
        except OSError as error:
            fail("cannot write " + name.decode("utf-8", "surrogateescape") + ": " + (error.strerror or "?"))
    elif not too_late(boot_ns, raw_ns):
        leave(code, stdout, stderr)


def main() -> "NoReturn":
    """Ask, and print the answer. A True that came too late three times over is asked for no more: the agent says no."""
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # Python's own handler would print a traceback
    context = variable("JUJU_CONTEXT_ID")
    address = variable("JUJU_AGENT_SOCKET_ADDRESS")
    variable("JUJU_AGENT_SOCKET_NETWORK")
    encoding = sys.getfilesystemencoding()
    call = b"\0".join([context, *[word.encode(encoding, "surrogateescape") for word in (NAME, *sys.argv[1:])]])
    if IN_DEPOSED:
        connection.settimeout(1.0)
    tries = 3
    try:
        connection.connect(address)
        send(b"T", call)
        while True:
            kind, body = receive()
            if kind == b"A":
                answer(body)
                tries -= 1
                send(b"T" if tries else b"L", call)
                continue
            try:
                data = read(body)
            except OSError as error:
                kind, data = b"E", (error.strerror or "").encode()
            else:
                kind = b"D"
            send(kind, data)
    except PermissionError:
        fail("the agent admits its own user and root alone")
    except OSError as error:
        without_agent(error.strerror or "it is silent")


if __name__ == "__main__":
    main()

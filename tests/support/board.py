"""The board as the extension makes it: board.c itself, as a shared library, and its structs for a test to write in."""

import ctypes
import functools
import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN, DRAIN, GO, LEAVING, GONE = range(5)
STATES = ("starting", "healthy", "degraded", "draining", "maintenance", "down")
HOLD_NONE, HOLD_READY, HOLD_UNREADY = range(3)
u32, u64, i32 = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32


class Text(ctypes.Structure):
    _fields_ = [("seq", u32), ("bytes", ctypes.c_char * 120)]


class Header(ctypes.Structure):
    _fields_ = [
        ("magic", u64), ("version", u32), ("pool_count", u32), ("size_bytes", u64), ("generation", u32),
        ("acked_generation", u32), ("master_pid", i32), ("handover", u32), ("master_start", u64), ("stop", u32),
        ("helper_pid", i32), ("helper_started_s", u64), ("consul_state", u32), ("helper_error", Text),
        ("consul_error", Text), ("looks", u32),
    ]  # fmt: skip


class Info(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char * 64), ("pool_offset_bytes", u64), ("slots", u32), ("state", u32), ("weight", u32),
        ("workers_total", u32), ("workers_active", u32), ("queue_length", u32), ("queue_max", u32),
        ("registered", u32), ("requests", u64), ("since_s", u64), ("drain", u32), ("maintenance", u32),
        ("reason", Text), ("control_reason", Text),
    ]  # fmt: skip


class Pool(ctypes.Structure):
    _fields_ = [("hold", u32), ("hold_reason", Text)]


class Slot(ctypes.Structure):
    _fields_ = [("pid", i32), ("busy", u32), ("requests", u64), ("padding", ctypes.c_char * 48)]


class _Mapping(ctypes.Structure):
    _fields_ = [("map", ctypes.c_void_p), ("map_bytes", ctypes.c_size_t)]


class _Spec(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("slots", u32)]


@functools.cache
def library():
    """board.c, compiled once a run."""
    path = Path(tempfile.mkdtemp(prefix="svcreg-")) / "board.so"
    source = ROOT / "board" / "board.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-std=gnu11", "-o", path, source], check=True)
    lib = ctypes.CDLL(str(path), use_errno=True)
    lib.board_header.restype = ctypes.POINTER(Header)
    lib.board_info.restype = ctypes.POINTER(Info)
    lib.board_info.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    lib.board_pool.restype = ctypes.POINTER(Pool)
    lib.board_pool.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    lib.board_slots.restype = ctypes.POINTER(Slot)
    lib.board_layout.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    lib.board_text_set.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return lib


def start_time(pid):
    """Field 22 of /proc/PID/stat."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


class Board:
    """A board with its doorbell and lifeline; `pools` maps names to numbers of slots."""

    def __init__(self, pools):
        self.lib = library()
        self.fd = self.lib.board_create()
        self.doorbell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.lifeline_end, self.lifeline = os.pipe()
        self.mapping = _Mapping()
        self.layout(pools)

    def layout(self, pools):
        """Lays it out anew, as a reload does."""
        specs = (_Spec * len(pools))(*((name.encode(), slots) for name, slots in pools.items()))
        result = self.lib.board_layout(ctypes.byref(self.mapping), self.fd, specs, len(pools))
        assert result == 0, os.strerror(ctypes.get_errno())

    @property
    def header(self):
        return self.lib.board_header(ctypes.byref(self.mapping)).contents

    def info(self, index=0):
        return self.lib.board_info(ctypes.byref(self.mapping), index).contents

    def pool(self, index=0):
        slots = u32()
        return self.lib.board_pool(ctypes.byref(self.mapping), index, ctypes.byref(slots)).contents

    def slot(self, number=0, index=0):
        slots = u32()
        pool = self.lib.board_pool(ctypes.byref(self.mapping), index, ctypes.byref(slots))
        assert number < slots.value
        return self.lib.board_slots(pool)[number]

    def state(self, index=0):
        return STATES[self.info(index).state]

    def set_text(self, text, value):
        self.lib.board_text_set(ctypes.byref(text), value.encode())

    def set_master(self, pid):
        """Names the master and rings."""
        self.header.master_start = start_time(pid)
        self.header.master_pid = pid
        self.ring()

    def ring(self):
        os.eventfd_write(self.doorbell, 1)

    def fds(self):
        return (self.fd, self.doorbell, self.lifeline)

    def close(self):
        self.lib.board_close(ctypes.byref(self.mapping))
        for fd in (self.fd, self.doorbell, self.lifeline_end, self.lifeline):
            if fd != -1:
                os.close(fd)

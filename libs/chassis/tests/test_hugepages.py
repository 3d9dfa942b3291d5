"""Huge pages: what is gathered, and that the kernel agrees."""

import subprocess
import sys

from chassis.hugepages import HUGE, places

MAPS = """\
00400000-00a00000 r-xp 00000000 fe:00 12 /usr/bin/python3.11
00c00000-01200000 rw-p 00000000 fe:00 12 /usr/bin/python3.11
01300000-01900000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0000200000 rw-p 00000000 00:00 0
7f0000500000-7f00006fffff rw-p 00000000 00:00 0
7f0000800000-7f0000e00000 r--p 00000000 00:00 0
7f0001000000-7f0001600000 rw-s 00000000 00:01 7 /dev/zero (deleted)
7ffc00000000-7ffc00800000 rw-p 00000000 00:00 0 [stack]
"""
GROWS = """
import ctypes, mmap, re
from chassis import hugepages

def huge():
    with open("/proc/self/smaps_rollup") as known:
        return int(re.search(r"AnonHugePages:\\s+(\\d+) kB", known.read())[1]) * 1024

room = mmap.mmap(-1, 16 * 1024 * 1024, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
room.write(b"x" * len(room))
gathered = hugepages.collapse()
print(gathered, huge() // hugepages.HUGE, room[:] == b"x" * len(room))
"""


def test_private_writable_memory_without_a_file_is_gathered_where_a_whole_page_fits() -> None:
    assert list(places(MAPS)) == [0x1400000, 0x1600000, 0x7F0000000000]
    assert HUGE == 0x200000


def test_the_kernel_counts_as_many_huge_pages_as_were_gathered() -> None:
    """Also where Linux makes them unasked (THP `always`): those were gathered already."""
    process = subprocess.run(
        [sys.executable, "-c", GROWS], capture_output=True, check=True, text=True
    )

    gathered, counted, is_whole = process.stdout.split()

    assert (gathered, is_whole) == (counted, "True")

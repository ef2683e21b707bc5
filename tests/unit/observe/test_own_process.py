"""Figures of the kernel about this process."""

import gc
import os

from penstock.observe.own_process import descriptors, descriptors_limit, resident_bytes


def test_descriptors_are_counted_as_they_are() -> None:
    gc.collect()  # what earlier tests left to it shall not go meanwhile
    before = descriptors()
    read, write = os.pipe()
    try:
        assert descriptors() == before + 2
    finally:
        os.close(read)
        os.close(write)
    assert before < descriptors_limit()


def test_memory_in_use() -> None:
    assert 1 << 20 < resident_bytes() < 1 << 40

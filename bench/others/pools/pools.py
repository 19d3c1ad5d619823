#!/usr/bin/env python3
"""Empty tasks in a pool of Python's, for bench-pools, which starts this once for each kind.

    pools.py multiprocessing.Pool|ProcessPoolExecutor WORKERS

Says its version once its workers are up. Then each line of input `WAY TASKS CHUNK` is answered by a line: nanoseconds a
task, and the median round trip where tasks go one by one (0 elsewhere). Ends, with its workers, at the end of input.
"""

import concurrent.futures
import multiprocessing
import platform
import statistics
import sys
import time


def empty(_=None):
    pass


class MultiprocessingPool:
    def __init__(self, workers):
        self.pool = multiprocessing.Pool(workers)

    def call(self):
        self.pool.apply(empty)

    def map(self, tasks, chunk):
        self.pool.map(empty, range(tasks), chunksize=chunk or None)

    def end(self):
        self.pool.terminate()
        self.pool.join()


class Executor:
    def __init__(self, workers):
        self.pool = concurrent.futures.ProcessPoolExecutor(workers)

    def call(self):
        self.pool.submit(empty).result()

    def map(self, tasks, chunk):
        for _ in self.pool.map(empty, range(tasks), chunksize=chunk or 1):
            pass

    def end(self):
        self.pool.shutdown()


def one_by_one(pool, tasks):
    start = time.perf_counter_ns()
    for _ in range(tasks):
        pool.call()
    mean = (time.perf_counter_ns() - start) / tasks
    samples = []
    for _ in range(tasks):
        start = time.perf_counter_ns()
        pool.call()
        samples.append(time.perf_counter_ns() - start)
    return mean, statistics.median(samples)


def mapped(pool, tasks, chunk):
    start = time.perf_counter_ns()
    pool.map(tasks, chunk)
    return (time.perf_counter_ns() - start) / tasks, 0


def main():
    kinds = {"multiprocessing.Pool": MultiprocessingPool, "ProcessPoolExecutor": Executor}
    pool = kinds[sys.argv[1]](int(sys.argv[2]))
    pool.call()
    print(platform.python_version(), flush=True)
    for line in sys.stdin:
        way, tasks, chunk = line.split()
        figures = one_by_one(pool, int(tasks)) if way == "call" else mapped(pool, int(tasks), int(chunk))
        print(*figures, flush=True)
    pool.end()


if __name__ == "__main__":
    main()

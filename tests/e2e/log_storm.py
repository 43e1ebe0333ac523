"""Errors at ten a second into a device's log on the real disk, on a fake clock; runs on both interpreters.

Arguments: folder, byte cap, hours, how many different texts. Prints the largest size of the folder and the bytes
that were appended in all.
"""

import sys

sys.path.insert(0, ".")

from agent.port import clock, files, net  # noqa: E402
from agent.service.journal import Journal  # noqa: E402


async def main():
    folder, bytes_max, hours, texts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    now = [1700000000]
    clock.unix_time = lambda: now[0]
    clock.now_ms = lambda: now[0] * 1000
    appended = [0]
    append = files.append

    def counted(path, data):
        appended[0] += len(data)
        append(path, data)

    files.append = counted
    book, largest = Journal(folder, bytes_max), 0
    for second in range(hours * 3600):
        now[0] = 1700000000 + second
        for tenth in range(10):
            book.error("link", f"the broker refused us for reason {(second * 10 + tenth) % texts}")
        if second % 60 == 0:
            largest = max(largest, sum([files.size(folder + "/" + name) for name in files.list(folder)]))
    book.close()
    print(largest, appended[0], book.lines()[-1])


net.run(main())

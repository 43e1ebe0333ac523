"""What a way does when the kernel refuses: sockets that answer as kernels and drivers have been seen to."""

import errno
import socket

from agent.port.cpython.datagrams import Way, has_segments

RUN = [memoryview(bytes([at]) * 100) for at in range(5)]


class Kernel:
    """A socket that fails with the given errors, one for each call, then takes everything."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.taken: list[bytes] = []
        self.calls = 0

    def _answer(self) -> None:
        self.calls += 1
        if self.errors:
            raise OSError(self.errors.pop(0), "as told")

    def send(self, data: memoryview) -> None:
        self._answer()
        self.taken.append(bytes(data))

    def sendto(self, data: memoryview, address: object) -> None:
        assert address == ("192.0.2.1", 9)
        self.send(data)

    def sendmsg(self, run: list[memoryview], _: object, __: int, ___: object) -> None:
        self._answer()
        self.taken += [bytes(data) for data in run]


def way(kernel: Kernel, address: object = None) -> Way:
    return Way(kernel, address, True)  # type: ignore[arg-type]


def test_a_run_is_one_call() -> None:
    kernel = Kernel()
    assert way(kernel).send(RUN, 100) == 5 and kernel.calls == 1
    assert kernel.taken == [bytes(data) for data in RUN]


def test_a_refusal_of_segments_is_remembered_and_nothing_is_lost() -> None:
    for error in (errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EMSGSIZE):
        for address in (None, ("192.0.2.1", 9)):
            kernel = Kernel(error)
            one = way(kernel, address)
            assert one.send(RUN, 100) == 5 and kernel.calls == 6
            assert one.send(RUN, 100) == 5 and kernel.calls == 11
            assert kernel.taken == [bytes(data) for data in RUN] * 2


def test_a_full_socket_loses_and_counts() -> None:
    kernel = Kernel(errno.EAGAIN)
    one = way(kernel)
    assert one.send(RUN, 100) == 0 and kernel.calls == 1
    assert one.send(RUN, 100) == 5
    for error in (errno.EAGAIN, errno.ENOBUFS, errno.EPERM):
        assert way(Kernel(error)).send(RUN[:1], 100) == 0
    kernel = Kernel(errno.EINVAL, errno.EAGAIN)
    assert way(kernel).send(RUN, 100) == 4  # one by one: the others may have found room


def test_the_icmp_error_of_an_earlier_datagram_takes_none_of_these() -> None:
    for error in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
        for run in (RUN, RUN[:1]):
            kernel = Kernel(error)
            assert way(kernel).send(run, 100) == len(run)
            assert kernel.taken == [bytes(data) for data in run]


def test_a_run_of_large_ones_is_cut() -> None:
    kernel = Kernel()
    run = [memoryview(bytes(2052))] * 32
    assert way(kernel).send(run, 2052) == 32 and kernel.calls == 2


def test_empty_datagrams_have_no_segments() -> None:
    kernel = Kernel()
    assert way(kernel).send([memoryview(b"")] * 3, 0) == 3 and kernel.calls == 3
    assert way(kernel).send([], 0) == 0


def test_segments_are_asked_for_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        assert has_segments(udp) in (True, False)
        assert not has_segments(tcp)

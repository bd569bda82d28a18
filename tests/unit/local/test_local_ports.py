from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

import pytest

from kato_operator.local.ports import PORT_MAX, PortTaken, PortWish, listen, port_of
from kato_spec.errors import Rejected


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of the loopback address that this test listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def chosen(wish: PortWish, claimed: Mapping[int, str]) -> int:
    """Return the port that a socket got, and close it."""
    with listen(wish, claimed) as listener:
        return port_of(listener)


def test_the_next_free_port_follows_a_taken_one(taken: int) -> None:
    assert taken < chosen(PortWish(taken), {}) <= PORT_MAX


def test_a_chosen_port_is_taken_from_the_moment_it_is_chosen(taken: int) -> None:
    with listen(PortWish(taken), {}) as first, listen(PortWish(taken), {}) as second:
        assert port_of(first) != port_of(second)


def test_a_claimed_port_is_passed_over_though_nobody_listens_any_more(taken: int) -> None:
    free = chosen(PortWish(taken), {})
    assert chosen(PortWish(free), {free: "processor-1"}) > free


def test_an_exact_port_that_is_taken_names_the_program_that_has_it(taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"port {taken} is taken by .*PID \d+\): stop that, or leave out --exact-port"):
        listen(PortWish(taken, exact=True), {})


def test_an_exact_port_that_is_claimed_names_the_instance() -> None:
    with pytest.raises(PortTaken, match="taken by processor-1"):
        listen(PortWish(8123, exact=True), {8123: "processor-1"})


def test_a_range_is_kept_to(taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"no port of {taken}-{taken} is free"):
        listen(PortWish.of(None, port_range=f"{taken}-{taken}"), {})


def test_flags_make_a_wish() -> None:
    assert PortWish.of(None) == PortWish(8000, PORT_MAX)
    assert PortWish.of(8100) == PortWish(8100, PORT_MAX)
    assert PortWish.of(8003, port_range="8001-8010") == PortWish(8003, 8010)
    assert PortWish.of(8100, exact=True) == PortWish(8100, PORT_MAX, exact=True)


@pytest.mark.parametrize(
    ("port", "port_range", "exact", "field"),
    [
        (0, None, False, "--port"),
        (65536, None, False, "--port"),
        (8000, "8001-8010", False, "--port"),
        (None, "8010-8001", False, "--port-range"),
        (None, "8001", False, "--port-range"),
        (None, "0-99999", False, "--port-range"),
        (None, None, True, "--exact-port"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(port: int | None, port_range: str | None, exact: bool, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        PortWish.of(port, port_range=port_range, exact=exact)
    assert caught.value.field == field

"""The link over channels that damage, cut and slow it, in simulated time: what must arrive arrives once."""

import random

import pytest
import stapes_spec as spec
from noisy_channel import NoisyChannel, Pair
from stapes.link.board_end import BoardLink
from stapes.link.host_end import HostLink
from stapes.link.link import OPEN

EVENT, NEWS, GIVEN_UP = spec.FRAME_TYPE_EVENT, spec.FRAME_TYPE_NEWS, spec.FRAME_TYPE_GIVEN_UP


def randomness(seed):
    return random.Random(seed).randbytes


def pair(seed=1, rate=0.0, key=None, **channel):
    board = BoardLink(lambda: {"board": "test"}, key, randomness(seed))
    host = HostLink(key, randomness(seed + 1))
    made = Pair(board, host, NoisyChannel(seed + 2, rate, **channel), NoisyChannel(seed + 3, rate))
    made.connect()
    return made


def run_until(made, condition, most_ms=60000, step_ms=1):
    end = made.now + most_ms
    while not condition():
        assert made.now < end, f"nothing came of it in {most_ms} ms"
        made.step(step_ms)


def message(number, size=12):
    return number.to_bytes(4, "little") + random.Random(number).randbytes(size)


def received(made, kind):
    return [payload for found, payload in made.heard_by_host if found == kind]


def test_hundred_thousand_events_through_a_bad_channel():
    made = pair(rate=0.01, bytes_per_ms=400.0)
    count = 100_000
    sent = news = 0
    while sent < count or made.board.outbox.pending:
        if made.board.state != OPEN or made.host.state != OPEN:
            made.step()
            if made.host.state not in (1, OPEN):
                made.connect()
            continue
        while sent < count and made.board.outbox.pending < 16:
            sent += 1
            made.board.send(EVENT, message(sent))
            if sent % 10 == 0:
                news += 1
                made.board.offer(message(news, 8))
        made.step(3)
        assert made.now < 10_000_000
    assert received(made, EVENT) == [message(number) for number in range(1, count + 1)]
    told = [int.from_bytes(payload[:4], "little") for payload in received(made, NEWS)]
    assert told == sorted(set(told)), "news come in order, and not twice"
    assert all(payload == message(number, 8) for number, payload in zip(told, received(made, NEWS), strict=True))
    assert all(made.up.faults[fault] > 1000 for fault in NoisyChannel.FAULTS)
    assert received(made, GIVEN_UP) == []


def lattice(number):
    """A message in five pieces, as long as a wide lattice."""
    return message(number, 4 * spec.FRAME_PAYLOAD + number % 700)


def test_cut_and_restored_a_hundred_times_in_mid_utterance():
    made = pair(seed=5, rate=0.0005, bytes_per_ms=20.0)
    chance = random.Random(8)
    cuts = sent = 0
    until_cut = 30
    while cuts < 100 or made.board.outbox.pending:
        if cuts < 100 and made.now >= until_cut:
            made.cut()
            for _ in range(chance.choice([1, 50, 2000])):
                made.step()
            if chance.random() < 0.8:
                sent += 1
                made.board.send(EVENT, lattice(sent))  # heard while nobody was there
            made.connect()
            cuts += 1
            until_cut = made.now + chance.randrange(5, 400)
        if made.board.outbox.pending < 2 and sent < 300 and made.board.state == OPEN:
            sent += 1
            made.board.send(EVENT, lattice(sent))
        if made.host.state not in (1, OPEN) or made.board.state == 3:
            made.connect()
        made.step()
        assert made.now < 3_000_000
    given_up = sum(payload for kind, payload in made.heard_by_host if kind == GIVEN_UP)
    assert received(made, EVENT) == sorted(received(made, EVENT), key=lambda part: part[:4][::-1])
    assert len(received(made, EVENT)) + given_up == sent
    assert all(part == lattice(int.from_bytes(part[:4], "little")) for part in received(made, EVENT))
    assert len(received(made, EVENT)) > 100


def test_what_is_given_up_while_nobody_listens_is_told_once():
    made = pair()
    run_until(made, lambda: made.host.state == OPEN)
    made.cut()
    for number in range(1, 21):
        made.board.send(EVENT, message(number, 4096))
    made.connect()
    run_until(made, lambda: not made.board.outbox.pending)
    kinds = [kind for kind, _ in made.heard_by_host]
    assert kinds == [GIVEN_UP] + [EVENT] * 2
    assert made.heard_by_host[0] == (GIVEN_UP, 18)
    assert made.board.outbox.given_up == 18
    assert [part[:4] for part in received(made, EVENT)] == [message(number)[:4] for number in (19, 20)]


def test_an_event_that_had_arrived_is_not_called_given_up():
    made = pair()
    run_until(made, lambda: made.host.state == OPEN)
    made.board.send(EVENT, message(1, 4096))
    run_until(made, lambda: received(made, EVENT))
    made.down.cut = True  # its acknowledgement is lost
    made.step()
    assert made.board.outbox.pending == 1
    made.cut()
    for number in range(2, 5):
        made.board.send(EVENT, message(number, 4096))
    assert made.board.outbox.given_up == 2
    made.connect()
    run_until(made, lambda: not made.board.outbox.pending)
    assert [payload for kind, payload in made.heard_by_host if kind == GIVEN_UP] == [1]
    assert len(received(made, EVENT)) == 3


def test_a_slow_reader_costs_partials_first_and_never_makes_the_board_wait():
    made = pair(bytes_per_ms=0.3, room=64)
    run_until(made, lambda: made.board.state == OPEN and made.host.state == OPEN)
    offered = 0
    for step in range(1, 3000):  # 30 ms each; every output() that is not taken whole returns at once
        made.board.offer(message(step, 40))
        offered += 1
        if step % 100 == 0:
            made.board.send(EVENT, message(step, 200))
        made.step(30)
    run_until(made, lambda: not made.board.outbox.pending)
    assert received(made, EVENT) == [message(step, 200) for step in range(100, 3000, 100)]
    assert made.board.outbox.given_up == 0
    shown = len(received(made, NEWS))
    assert 0 < shown < offered / 2
    for _ in range(200):
        made.step(30)
    assert made.board.outbox.dropped + len(received(made, NEWS)) + made.host.inbox.stale == offered


def test_news_stay_between_the_events_they_were_between():
    made = pair(seed=3, rate=0.003)
    run_until(made, lambda: made.host.state == OPEN)
    for number in range(1, 400):
        made.board.send(EVENT, message(number))
        made.board.offer(message(number))
        for _ in range(5):
            made.step()
    run_until(made, lambda: not made.board.outbox.pending)
    last = 0
    for kind, payload in made.heard_by_host:
        number = int.from_bytes(payload[:4], "little")
        assert number == (last + 1 if kind == EVENT else last)
        last = number
    assert len(received(made, NEWS)) > 100


def test_commands_arrive_once_over_a_bad_channel_too():
    made = pair(seed=11, rate=0.005)
    run_until(made, lambda: made.host.state == OPEN)
    sent = 0
    while sent < 500:
        if made.host.send(spec.FRAME_TYPE_COMMAND, message(sent)):
            sent += 1
        made.step()
    run_until(made, lambda: not made.host.outbox.pending)
    assert [payload for _, payload in made.heard_by_board] == [message(number) for number in range(500)]


@pytest.mark.parametrize("damaged", range(2, 10))
def test_a_message_that_was_damaged_is_sent_again_as_soon_as_it_is_missed(damaged):
    """Whatever its number: the timer is for complaints that do not arrive."""
    made = pair()
    run_until(made, lambda: made.host.state == OPEN)
    for number in range(1, damaged):
        made.host.send(spec.FRAME_TYPE_COMMAND, message(number))
        run_until(made, lambda: not made.host.outbox.pending)
    carry = made.down.write
    made.down.write = lambda data, now: carry(bytes([data[0] ^ 1]) + bytes(data[1:]), now)
    made.host.send(spec.FRAME_TYPE_COMMAND, message(damaged))
    made.step()
    made.down.write = carry
    run_until(made, lambda: not made.host.outbox.pending)
    assert made.board.damaged == 1 and made.host.outbox.resent == 0
    assert [payload for _, payload in made.heard_by_board] == [message(number) for number in range(1, damaged + 1)]


def test_a_host_that_comes_later_hears_what_nobody_has_heard():
    made = pair()
    made.cut()
    for number in range(1, 4):
        made.board.send(EVENT, message(number))
    made.connect()
    run_until(made, lambda: not made.board.outbox.pending)
    made.cut()
    made.board.send(EVENT, message(4))
    made.host = HostLink(None, randomness(99))
    made.heard_by_host.clear()
    made.connect()
    run_until(made, lambda: received(made, EVENT))
    assert received(made, EVENT) == [message(4)]


def test_a_board_that_restarts_is_noticed_and_its_events_are_heard():
    made = pair()
    made.host.send(spec.FRAME_TYPE_COMMAND, b"before")
    for number in range(1, 6):
        made.board.send(EVENT, message(number))
    run_until(made, lambda: not made.board.outbox.pending)
    made.cut()
    made.host.send(spec.FRAME_TYPE_COMMAND, b"lost")
    made.board = BoardLink(lambda: {}, None, randomness(77))
    made.board.send(EVENT, message(1))
    made.connect()
    run_until(made, lambda: len(received(made, EVENT)) == 6)
    assert made.host.restarted and made.host.lost == 1
    made.host.send(spec.FRAME_TYPE_COMMAND, b"after")
    run_until(made, lambda: not made.host.outbox.pending)
    assert [payload for _, payload in made.heard_by_board] == [b"before", b"after"]


def test_silence_ends_the_connection_and_keepalives_keep_it():
    made = pair()
    run_until(made, lambda: made.host.state == OPEN)
    for _ in range(60):
        made.step(1000)
    assert made.board.state == made.host.state == OPEN
    made.up.cut = made.down.cut = True
    for _ in range(7):
        made.step(1000)
    assert made.board.state == made.host.state == 3
    assert "silent" in made.host.reason


@pytest.mark.parametrize("begin", [0, 2**30 - 500, 2**30 * 3 - 1])
def test_clocks_may_wrap_around(begin):
    made = pair(seed=21, rate=0.003)
    made.now = begin
    made.connect()
    run_until(made, lambda: made.host.state == OPEN)
    for number in range(100):
        made.board.send(EVENT, message(number))
        for _ in range(20):
            made.step()
    run_until(made, lambda: not made.board.outbox.pending)
    assert received(made, EVENT) == [message(number) for number in range(100)]

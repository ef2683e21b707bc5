"""The master's part in a reload: whom it tells, whom it waits for, and what it does with those that do not answer."""

from types import SimpleNamespace

import pytest

from penstock.config.inputs import Record
from penstock.plan.plan import Plan
from penstock.process.channel import Channel, Message
from penstock.process.master import reload as module
from penstock.process.master.reload import Reload, Workers
from penstock.process.startup.launch import Launch, NotStarted
from penstock.process.startup.listening import Sockets


class Workshop:
    """Two workers, and what is done with them."""

    def __init__(self) -> None:
        self.children = []
        for pid in (101, 102):
            ours, theirs = Channel.pair()
            self.children.append(SimpleNamespace(pid=pid, index=pid - 101, channel=ours, theirs=theirs))
        self.replaced: list[int] = []
        self.barren = False
        """Whether no new worker can begin."""
        self.over = 0
        self.reload = Reload(
            Launch("/", "/x.conf", ""),
            cycle(),
            Workers(lambda: self.children, self._replace, lambda: None, lambda patience: True),
            self._over,
        )

    def _replace(self, children: list[SimpleNamespace], patience: float) -> list[SimpleNamespace]:
        if self.barren:
            return list(children)
        self.replaced += [child.pid for child in children]
        return []

    def _over(self) -> None:
        self.over += 1

    def say(self, child: object, kind: str, **more: object) -> None:
        self.reload.answered(child, Message(kind, {"generation": self.reload.generation, **more}))


def cycle(user: object = None) -> SimpleNamespace:
    main = SimpleNamespace(
        rlimit_nofile=None, priority=0, daemon=True, master_process=True, working_directory=None, env=()
    )
    plan = Plan(None, None, None, [], [], None, [], "/", "/x.conf")  # type: ignore[arg-type]
    files = type("Files", (), {"close": lambda self: None, "__iter__": lambda self: iter(())})()
    return SimpleNamespace(
        user=user, main=main, plan=plan, files=files, sockets=Sockets(), workers=2, control="", record=None, watched=[]
    )


@pytest.fixture
def shop(monkeypatch):
    monkeypatch.setattr(module, "next_cycle", lambda launch, before, record: cycle())
    monkeypatch.setattr(module, "commit", lambda before, after: None)
    monkeypatch.setattr(module, "roll_back", lambda before, after: None)
    return Workshop()


def told(shop: Workshop) -> list[list[str]]:
    found = []
    for child in shop.children:
        messages = child.theirs.receive()
        found.append([message.kind for message in messages])
        for message in messages:
            message.drop()
    return found


def test_it_is_over_when_all_have_answered(shop) -> None:
    shop.reload.begin()
    assert told(shop) == [["plan"], ["plan"]]
    shop.say(shop.children[0], "adopted")
    assert not shop.over
    shop.say(shop.children[1], "adopted")
    assert (shop.over, shop.replaced, shop.reload.deadline) == (1, [], None)


def test_one_that_refuses_is_replaced(shop) -> None:
    shop.reload.begin()
    shop.say(shop.children[0], "refused", why="it is full")
    shop.say(shop.children[1], "adopted")
    assert (shop.over, shop.replaced) == (1, [101])


def test_one_that_does_not_answer_is_replaced(shop, monkeypatch) -> None:
    shop.reload.begin()
    shop.say(shop.children[1], "adopted")
    shop.reload.tick()
    assert not shop.replaced
    deadline = shop.reload.deadline
    monkeypatch.setattr(module, "monotonic", lambda: deadline + 1)
    shop.reload.tick()
    assert (shop.over, shop.replaced) == (1, [101])
    shop.say(shop.children[0], "adopted")  # too late to matter
    assert shop.over == 1


def test_one_that_dies_is_waited_for_no_more(shop) -> None:
    shop.reload.begin()
    shop.say(shop.children[0], "adopted")
    shop.reload.gone(shop.children[1])
    assert (shop.over, shop.replaced) == (1, [])


def test_one_that_takes_no_messages_is_replaced(shop) -> None:
    shop.children[0].theirs.close()
    shop.reload.begin()
    shop.say(shop.children[1], "adopted")
    assert (shop.over, shop.replaced) == (1, [101])


def test_reloads_that_come_meanwhile_are_one(shop) -> None:
    for _ in range(5):
        shop.reload.begin()
    assert told(shop) == [["plan"], ["plan"]]
    for child in shop.children:
        shop.say(child, "adopted")
    assert told(shop) == [["plan"], ["plan"]]
    assert shop.reload.generation == 3
    for child in shop.children:
        shop.say(child, "adopted")
    assert told(shop) == [[], []]
    assert shop.over == 2


def test_an_answer_about_another_generation_is_none(shop) -> None:
    shop.reload.begin()
    for child in shop.children:
        shop.reload.answered(child, Message("adopted", {"generation": 1}))
    assert not shop.over


def test_what_is_not_taken_up_changes_nothing(shop, monkeypatch) -> None:
    def fail(launch: object, before: object, record: Record) -> None:
        raise NotStarted

    monkeypatch.setattr(module, "next_cycle", fail)
    before = shop.reload.cycle
    shop.reload.begin()
    assert (shop.over, shop.reload.cycle, told(shop)) == (1, before, [[], []])


def test_another_user_needs_other_workers(shop, monkeypatch) -> None:
    monkeypatch.setattr(module, "next_cycle", lambda launch, before, record: cycle("somebody"))
    started = []
    shop.reload.workers.replace_all = lambda patience: not started.append(True)
    shop.reload.begin()
    assert (shop.over, started, told(shop)) == (1, [True], [[], []])
    assert shop.reload.cycle.user == "somebody"


def test_where_no_worker_of_another_user_begins_the_old_configuration_stays(shop, monkeypatch) -> None:
    monkeypatch.setattr(module, "next_cycle", lambda launch, before, record: cycle("somebody"))
    shop.reload.workers.replace_all = lambda patience: False
    before = shop.reload.cycle
    shop.reload.begin()
    assert (shop.over, shop.reload.cycle, shop.replaced) == (1, before, [])


def test_where_all_refuse_and_nobody_can_begin_the_old_configuration_stays(shop) -> None:
    shop.barren = True
    before = shop.reload.cycle
    shop.reload.begin()
    for child in shop.children:
        shop.say(child, "refused", why="it can not be read", intact=True)
    assert (shop.over, shop.reload.cycle, shop.replaced, shop.reload.deadline) == (1, before, [], None)


def test_where_all_refuse_others_take_their_places(shop) -> None:
    before = shop.reload.cycle
    shop.reload.begin()
    for child in shop.children:
        shop.say(child, "refused", why="it can not be read", intact=True)
    assert (shop.over, shop.replaced) == (1, [101, 102])
    assert shop.reload.cycle is not before


def test_where_one_has_taken_it_up_the_other_goes_on_until_there_is_a_successor(shop) -> None:
    shop.barren = True
    before = shop.reload.cycle
    shop.reload.begin()
    shop.say(shop.children[0], "refused", why="it can not be read", intact=True)
    shop.say(shop.children[1], "adopted")
    assert (shop.over, shop.replaced) == (1, [])
    assert shop.reload.cycle is not before


def test_a_configuration_that_kills_all_workers_is_taken_back(shop) -> None:
    before = shop.reload.cycle
    shop.reload.begin()
    for child in shop.children:
        shop.reload.gone(child)
    assert (shop.over, shop.reload.cycle) == (1, before)


def test_where_nobody_lives_the_configuration_is_for_those_who_come(shop) -> None:
    before = shop.reload.cycle
    shop.children.clear()
    shop.reload.begin()
    assert shop.over == 1
    assert shop.reload.cycle is not before

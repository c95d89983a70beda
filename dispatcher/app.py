"""The composition root: settings in, running service out. Starts in order, stops in reverse, nothing is global."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from dispatcher.accounts.book import Accounts
from dispatcher.accounts.opening import Opener
from dispatcher.cards.studio import Studio
from dispatcher.channels.http import Client, http_client
from dispatcher.clock import Clock, SystemClock
from dispatcher.console.app import Context, facts_to_hub, make_console
from dispatcher.console.auth import Tickets, Tokens
from dispatcher.feed import Feed, MqttStatus
from dispatcher.heartbeat import Heartbeat
from dispatcher.intake.mqtt import MqttIntake
from dispatcher.journal import standing, store
from dispatcher.journal.base import BUSY_PAUSE, SqliteJournal, open_journal
from dispatcher.journal.batch import StepBatch
from dispatcher.journal.keeping import keep_configuration
from dispatcher.last_word import last_word
from dispatcher.launch import Launch
from dispatcher.links import AccountLinks, SignedLinks
from dispatcher.model.errors import ConfigurationError, JournalBroken, JournalBusy, Problem
from dispatcher.pager import Pager
from dispatcher.permits import Fence, Permits
from dispatcher.pipeline import Pipeline
from dispatcher.plan.pages import Cause, Page
from dispatcher.pulse import Pulse
from dispatcher.readiness import Board
from dispatcher.recovery import Recovery
from dispatcher.reload import Connector, Reloader, lines, problems_of, set_up
from dispatcher.settings import Loaded
from dispatcher.settings.sources import absolute
from dispatcher.subscribers import JournalSubscribers
from dispatcher.supervisor import Supervisor
from dispatcher.telemetry import logger
from dispatcher.watch import Trouble, Watch, keep_time
from dispatcher.web import Hub
from dispatcher.worker import Worker

log = logger("app")

EXIT_BROKEN = 70
DRAIN_SECONDS = 10.0
HARD_SECONDS = 15.0
DESCRIPTORS = 16_384
HANGING = 15.0  # seconds; a disk that hangs for less is nothing to wake somebody for


@dataclass(slots=True)
class Service:
    """A running daemon, as commands and tests see it."""

    loaded: Loaded
    journal: SqliteJournal
    pipeline: Pipeline
    worker: Worker
    tokens: Tokens
    tickets: Tickets
    hub: Hub
    pulse: Pulse = field(default_factory=Pulse)
    intake: MqttIntake | None = None
    url: str = ""
    public: str = ""
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = False
    reloader: Reloader | None = None
    problems: list[Problem] = field(default_factory=list)
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run ``work`` as long as the service; its failing breaks the service."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def once(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run ``work`` to its end; a refused configuration is its own affair."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_note_failure)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("task_broken", task=task.get_name(), error=repr(error))
            self.broken.set()

    def adopt(self, loaded: Loaded) -> None:
        """Show what is wrong with the set that runs from now on, and listen to its sources."""
        self.loaded, self.problems[:] = loaded, [*problems_of(loaded), *loaded.warnings]
        if self.intake is not None:
            self.intake.use(loaded.deployment.sources)

    async def reload(self) -> tuple[Problem, ...]:
        """Read the files again; what is wrong is paged. Raises `ConfigurationError` where the old set stays."""
        if self.reloader is None:
            return ()
        try:
            found = await self.reloader.reload()
        except ConfigurationError as error:
            await self._complain(error.problems)
            raise
        await self.judge(found)
        return found

    async def judge(self, problems: Sequence[Problem]) -> None:
        """Keep a set that works as the last good one; page what keeps a part of it from working."""
        if problems:
            await self._complain(problems)
        elif self.reloader is not None and self.loaded.files:
            main, loaded = absolute(self.reloader.path), self.loaded
            await self.journal.write(partial(
                keep_configuration, digest=loaded.digest, main=main, files=loaded.files, at=self.pipeline.clock.now()
            ))  # fmt: skip

    async def judge_when_possible(self, problems: Sequence[Problem]) -> None:
        """The same; while the journal cannot be written it waits, and nobody waits for it."""
        try:
            await self.judge(problems)
        except JournalBusy as error:
            log.warning("judgement_waits", error=str(error))
            self.once(self._judge_later(problems), "judge")

    async def _judge_later(self, problems: Sequence[Problem]) -> None:
        await asyncio.sleep(BUSY_PAUSE)
        await self.judge_when_possible(problems)

    async def _complain(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            log.error("configuration", problem=str(problem))
        key = f"configuration/{self.pipeline.clock.now().isoformat()}"
        await self.pipeline.page(Page(Cause.CONFIGURATION, lines(problems)), b"", key)

    def readiness(self) -> Mapping[str, bool]:
        """What must hold before this daemon is relied on."""
        states = {
            "journal": not self.broken.is_set() and self.journal.takes_in, "recovered": self.ready, "configuration": not self.loaded.broken,
            "loop": self.pulse.steady,
        }  # fmt: skip
        return states if self.intake is None else {**states, "broker": self.intake.connected}

    async def stop_tasks(self) -> None:
        """Cancel what `spawn` started, newest first.

        Again and again: in Python 3.11 `asyncio.wait_for` forgets a cancellation that comes as its future ends.
        """
        while running := [task for task in reversed(self._tasks) if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=1)


# Straight-line wiring, long on purpose: everything that is made stands here in its order, once, with what it is given.
@asynccontextmanager
async def build(
    loaded: Loaded,
    *,
    path: Path | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    inline: bool = False,
) -> AsyncIterator[Service]:
    """The running service of ``loaded``. Raises `JournalLocked`, `ConfigurationError` or `OSError` where it cannot start."""
    clock, rng = clock or SystemClock(), rng or random.SystemRandom()
    deployment, broken, hub = loaded.deployment, asyncio.Event(), Hub()
    feed = Feed([facts_to_hub(hub)])
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(
            loaded.journal.path, inline=inline, on_commit=feed.wake, on_broken=lambda _: broken.set(),
        ))  # fmt: skip
        await journal.write(partial(store.claim_realm, realm=deployment.realm))
        http = await stack.enter_async_context(http_client(loaded.http_client))
        http.subscribers = subscribers = JournalSubscribers(journal, clock)
        studio = open_studio(stack, loaded, http, journal)
        connector = Connector(stack, http)
        fence, steps = Fence(), StepBatch(journal, clock)
        setup = await set_up(loaded, path, journal, connector)
        permits = Permits(stopped=fence.halts, shared=setup.shares, rng=rng)
        worker = Worker(journal=journal, setup=setup, permits=permits, clock=clock)
        launch = Launch(journal, permits, setup, worker)
        steps.called = launch.stand_in
        pipeline = Pipeline(
            journal=journal, setup=setup, launch=launch, steps=steps, permits=permits, fence=fence, clock=clock,
            rng=rng,
        )  # fmt: skip
        pipeline.links = links = SignedLinks(await journal.write(standing.link_key))
        accounts = await stack.enter_async_context(Accounts(
            journal=journal, setup=setup, fence=fence, opener=Opener(loaded.accounts, http), clock=clock,
            links=AccountLinks(await journal.write(standing.link_key)),
        ))  # fmt: skip
        recovery = Recovery(journal, setup, steps, fence, clock, rng)
        tokens, tickets = Tokens(loaded.console.tokens_file), Tickets()
        service = Service(loaded, journal, pipeline, worker, tokens, tickets, hub, broken=broken)
        stack.push_async_callback(service.stop_tasks)
        service.spawn(journal.tend(), "disk")
        service.spawn(journal.inspect(), "inspection")
        await pipeline.decisions.means.recall()
        called = await journal.write(standing.called_until)
        await resume(stack, service, recovery)
        pager = Pager(pipeline, journal, clock)
        feed.add(pager)
        service.spawn(feed.run(journal, called), "feed")  # with what a crash left untold and what recovery decided
        service.spawn(pager.run(), "pager")
        watch = Watch(pipeline, journal, troubles=[
            Trouble(Cause.JOURNAL, partial(getattr, journal, "trouble")),
            Trouble(Cause.JOURNAL, partial(getattr, journal, "hangs"), HANGING),
            Trouble(Cause.LOOP, partial(getattr, service.pulse, "trouble"), news=False),
        ])  # fmt: skip
        pipeline.heard, pipeline.admit, watch.stuck = watch.event, journal.admit, partial(getattr, worker, "stuck")
        service.spawn(watch.run(), "watch")
        show_life(service, http)
        board = ask_channels(service, http)
        service.ready = True
        service.adopt(loaded)
        if path is not None:
            service.reloader = Reloader(path, loaded, setup, connector, service.adopt)
        context = Context(
            pipeline=pipeline, journal=journal, setup=setup, hub=hub, tokens=tokens, tickets=tickets,
            clock=clock, settings=loaded.console, links=links, ready=service.readiness, problems=service.problems,
            reload=service.reload, board=board, accounts=accounts,
        )  # fmt: skip
        service.url = await serve_console(stack, context)
        links.base = loaded.console.public_url or service.url
        await serve_public(stack, service, subscribers, accounts, studio)
        listen(stack, service, feed, watch)
        await service.judge_when_possible(problems_of(loaded))
        log.info("ready", realm=deployment.realm, url=service.url, channels=len(loaded.channels))
        yield service


async def resume(stack: AsyncExitStack, service: Service, recovery: Recovery) -> None:
    """The best of what was queued leaves at once; every doubt is decided before this ends, and the rest follows."""
    worker, resumed = service.worker, recovery.run()
    worker.enqueue(await anext(resumed))
    service.spawn(worker.run(service.pipeline, recovery), "worker")
    stack.push_async_callback(worker.drain, DRAIN_SECONDS)
    worker.enqueue(await anext(resumed))
    service.spawn(worker.resume(resumed), "resumed")


def listen(stack: AsyncExitStack, service: Service, feed: Feed, watch: Watch) -> None:
    """Take in incident events from the broker and tell it what comes of them, where there is one."""
    pipeline, broker = service.pipeline, service.loaded.broker
    if broker is None:
        return
    where = pipeline.deployment
    service.intake = intake = MqttIntake(
        broker, where.realm, pipeline.receive, pipeline.clock, sources=where.sources, alive=watch.alive
    )
    watch.troubles.append(Trouble(Cause.BROKER, partial(getattr, intake, "trouble"), broker.page_after))
    status = MqttStatus(intake, service.journal)
    feed.add(status)
    service.spawn(status.run(), "status")
    service.spawn(intake.run(), "mqtt")
    stack.push_async_callback(intake.close)


def ask_channels(service: Service, http: Client) -> Board:
    """Whether each channel could post, from now on; what fails in here is logged and harms nothing."""
    board = Board(service.pipeline, http, lambda: service.loaded.canaries)
    service.once(board.run(), "readiness")
    return board


def show_life(service: Service, http: Client) -> None:
    """Measure the loop, know every channel's address and the time, call the monitor; what fails in here harms nothing."""
    worker = service.worker
    service.once(keep_time(service.pipeline.clock, lambda: worker.open > 0), "clock")
    service.once(http.names.keep(partial(hosts, service)), "names")
    service.once(service.pulse.run(), "pulse")
    if service.loaded.heartbeat is not None:
        service.once(Heartbeat(service.loaded.heartbeat, service.journal, http).run(), "heartbeat")


def hosts(service: Service) -> set[str]:
    """The names of all hosts that channels speak to."""
    origins = (urlsplit(profile.origin) for profile in service.pipeline.deployment.every_channel())
    return {origin.hostname for origin in origins if origin.netloc and origin.hostname}


async def serve_console(stack: AsyncExitStack, context: Context) -> str:
    """Serve the HTTP interface; the address it listens on."""
    url = await serve_at(stack, make_console(context), context.settings.host, context.settings.port)
    stack.callback(context.hub.close)
    return url


def open_studio(stack: AsyncExitStack, loaded: Loaded, http: Client, journal: SqliteJournal) -> Studio:
    """Make cards for channels: as bytes for all who want them, at addresses where that is configured."""
    http.cards = studio = Studio(loaded.cards, http, journal)
    stack.callback(studio.close)
    return studio


async def serve_public(
    stack: AsyncExitStack, service: Service, subscribers: JournalSubscribers, accounts: Accounts, studio: Studio
) -> None:
    """Serve what strangers may reach, where that is wanted."""
    if (public := service.loaded.public) is not None:
        from dispatcher.public.app import Desk, make_public  # noqa: PLC0415 - slow to import, and few have it

        setup = service.pipeline.setup
        desk = Desk(
            setup=setup, channels=lambda: service.loaded.channels, subscribers=subscribers, accounts=accounts,
            cards=studio if service.loaded.cards else None,
        )  # fmt: skip
        service.public = await serve_at(stack, make_public(desk), public.host, public.port)
        studio.base = public.public_url or service.public
        accounts.links.base = public.public_url or service.public


async def serve_at(stack: AsyncExitStack, app: web.Application, host: str, port: int) -> str:
    """Serve ``app`` until the stack is undone; the address it listens on. Raises `OSError` where it is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port).start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


async def serve(loaded: Loaded, path: Path) -> int:
    """Run until SIGTERM or SIGINT, reading ``path`` again at SIGHUP; 0 after a clean end, 70 where the journal broke and a restart must replay."""
    raise_descriptor_limit()
    stop, again, supervisor = asyncio.Event(), asyncio.Event(), Supervisor()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, again.set)  # while it starts as well: left alone, the signal would end it
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop)
    try:
        async with build(loaded, path=path) as service:
            loop.add_signal_handler(signal.SIGHUP, partial(_again, service))
            if again.is_set():
                _again(service)
            service.once(supervisor.watchdog(), "watchdog")
            supervisor.tell("READY=1", f"STATUS={service.url}, {len(loaded.channels)} channels")
            waiting = [asyncio.create_task(event.wait()) for event in (stop, service.broken)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            supervisor.tell("STOPPING=1")
            log.info("stopping", broken=service.broken.is_set())
            if service.broken.is_set():
                if service.journal.damage:
                    page = Page(Cause.JOURNAL, (service.journal.damage,))
                    await last_word(service.pipeline.setup, page, service.pipeline.clock.now())
                os._exit(EXIT_BROKEN)  # what is on disk is unknown: nothing more is written, the next start replays
    except (JournalBroken, JournalBusy) as error:
        log.critical("no_journal", path=str(loaded.journal.path), error=str(error))
        return EXIT_BROKEN
    return 0


def _note_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ConfigurationError):
        log.critical("task_failed", task=task.get_name(), error=repr(error))


def _again(service: Service) -> None:
    """SIGHUP: what is wrong is paged, and the running set stays."""
    service.once(service.reload(), "reload")


def _stop(stop: asyncio.Event) -> None:
    """The first signal drains; the second ends at once; a thread ends what hangs, for the loop may be what hangs."""
    if stop.is_set():
        os._exit(1)
    stop.set()
    timer = threading.Timer(HARD_SECONDS, os._exit, args=(1,))
    timer.daemon = True
    timer.start()


def raise_descriptor_limit() -> None:
    """Room for a connection to every channel: the soft limit up to the hard one, at most 16,384."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

"""How far a stage is: what is done, at what rate, and the time left.

A terminal shows it in one line that is rewritten (`engine/run_log`); files and pipes get a line now and then.
"""

from __future__ import annotations

import logging
import time

LIVE = 15  # level of lines that a terminal alone shows, below logging.INFO
EXTRA = {"live": True}  # of records whose line the next one of its kind may replace
SHOW_SECONDS, TELL_SECONDS = 0.2, 20.0  # between two lines: in a terminal, elsewhere


class Progress:
    """Counts up to `total` units of work; `done` of them took no time, as where a stage goes on."""

    def __init__(self, logger: logging.Logger, noun: str, unit: str, total: int, done: int = 0) -> None:
        self.logger, self.noun, self.unit, self.total = logger, noun, unit, total
        self.done = self.start = done
        self.part = 0.0  # of the units that are done next
        self.began = self.file_time = self.screen_time = time.monotonic()

    def advance(self, more: int = 1) -> None:
        """So many more are done now."""
        self.done, self.part = self.done + more, 0.0
        self.total = max(self.total, self.done)
        self._tell(whole=self.done == self.total)

    def underway(self, part: float) -> None:
        """Units that take long together are half done: as many as `part` of them would be."""
        self.part = part
        self._tell(whole=False)

    def _tell(self, *, whole: bool) -> None:
        now = time.monotonic()
        if now - self.file_time >= TELL_SECONDS or (whole and self.file_time > self.began):
            self.file_time = self.screen_time = now
            self.logger.info(self.line(now), extra=EXTRA)
        elif now - self.screen_time >= SHOW_SECONDS or whole:
            self.screen_time = now
            self.logger.log(LIVE, self.line(now), extra=EXTRA)

    def line(self, now: float) -> str:
        """ "embeddings: 1,024 of 8,364 texts, 120 texts/s, 1:01 left" """
        seconds = max(now - self.began, 1e-9)
        done = self.done + self.part
        line = f"{self.noun}: {self.done:,} of {self.total:,} {self.unit}"
        if done == self.start:
            return f"{line}, begun {clock(seconds)} ago"
        left = seconds * max(self.total - done, 0) / (done - self.start)
        return f"{line}, {self.rate(seconds)}, {clock(left)} left"

    def rate(self, seconds: float) -> str:
        """Since the beginning."""
        rate = (self.done + self.part - self.start) / seconds
        return f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{rate:.1f} {self.unit}/s"


def clock(seconds: float) -> str:
    """ "1:01", minutes and seconds; hours in front where there are any."""
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}" if minutes >= 60 else f"{minutes}:{second:02d}"

"""The receive path is cut at every step of every story, and nothing that was told is lost.

For each story (stories.py) and each of its steps: the story happens until the processes are killed there, or the power goes and
the disk loses and tears what was not synced; the gateway is started again, with no hand; what must hold is in aftermath.py. Then
the power goes once more, after that or in the middle of it. EFT_CRASHES=50000 tries ten outcomes at each step.
"""

from __future__ import annotations

import pytest

from tests.crash.crashes import crashes
from tests.crash.machine import Machine
from tests.crash.nonces import watched_nonces
from tests.crash.stories import STORIES, Story

EVERY = 3
"""Steps between those at which the recovery itself is cut."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_nothing_told_is_lost_at_whatever_step_it_is_cut(region: Machine, story: Story) -> None:
    with watched_nonces():
        for crash in crashes(region, story):
            if crash.how == "killed":
                crash.recovers()
                crash.and_keeps_its_word()
            elif crash.step % EVERY == 1:
                crash.recovers_at_the_second_attempt()
            else:
                crash.recovers()

"""The quickstart's story once more, where its processors are on the stores that the chart brings.

The tests are the same, up to where the memory lies: in the stores, and in no volume.
"""

from __future__ import annotations

import pytest

from tests.e2e import test_quickstart as story
from tests.e2e.space import NOTICED, Space
from tests.support.eventually import eventually

pytestmark = pytest.mark.usefixtures("bundled")


@pytest.fixture(scope="module")
def storage(bundled: Space) -> str:
    """The storage that processors get which name none."""
    return "External"


# pytest runs them in this order.
test_apply_and_wait_for_ready = story.test_apply_and_wait_for_ready
test_the_fast_matcher_serves = story.test_the_fast_matcher_serves
test_get_shows_what_there_is = story.test_get_shows_what_there_is
test_the_category_lists_both_kinds = story.test_the_category_lists_both_kinds
test_observe_learn_and_predict_through_the_service = story.test_observe_learn_and_predict_through_the_service
test_declared_session_is_usable_and_its_memory_is_seen = story.test_declared_session_is_usable_and_its_memory_is_seen
test_changed_parameter_is_live_without_a_restart = story.test_changed_parameter_is_live_without_a_restart
test_killed_pod_loses_nothing_acknowledged = story.test_killed_pod_loses_nothing_acknowledged
test_deleted_child_comes_back = story.test_deleted_child_comes_back
test_edited_child_is_mended = story.test_edited_child_is_mended


def test_deleting_the_objects_leaves_no_child(space: Space) -> None:
    space.wait("kproc/broad")
    space.kubectl("delete", "-f", str(story.QUICKSTART), "--timeout=60s")
    eventually(lambda: story.children(space) == set(), timeout=60)


test_memory_is_found_again_by_a_processor_of_the_same_name = (
    story.test_memory_is_found_again_by_a_processor_of_the_same_name
)


def test_delete_policy_removes_the_memory(space: Space) -> None:
    space.kubectl("patch", "kproc", "broad", "--type=merge", "-p", '{"spec":{"deletionPolicy":"Delete"}}')
    eventually(lambda: space.get("kproc/broad")["metadata"].get("finalizers"), promised=NOTICED)
    space.kubectl("delete", "kproc", "broad", "--timeout=60s")
    space.kubectl("apply", "-f", str(story.QUICKSTART))
    space.wait("kproc/broad")
    (served,) = space.read(f"{story.BROAD}/status")["processors"].values()
    assert served["patterns"] == 0

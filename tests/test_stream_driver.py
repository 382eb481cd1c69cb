"""What stream/driver.py reaches into. A failure here means that a new version of Faust or aiokafka moved it:
look at the driver before anything else, exact counts stand on it."""

from __future__ import annotations

import inspect

import aiokafka
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.protocol.commit import OffsetCommitRequest
from faust import Topic
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer, ConsumerThread
from faust.transport.drivers import aiokafka as driver


def test_faust_sets_positions_in_perform_seek_alone_after_a_rebalance() -> None:
    assert inspect.iscoroutinefunction(Consumer.perform_seek)
    assert "perform_seek" not in vars(driver.Consumer)
    assert "consumer.perform_seek()" in inspect.getsource(Recovery)
    assert "seek_to_committed" not in inspect.getsource(Recovery)


def test_without_tables_nothing_is_awaited_before_the_group_is_joined() -> None:
    source = inspect.getsource(TableManager.on_start)
    assert source.index("self.sleep(1.0)") < source.index("_update_channels()") < source.index("recovery.start()")
    assert "app.topics.add(" in inspect.getsource(Topic.__aiter__)  # so a topic in it is one that an agent reads
    waited = inspect.getsource(Conductor)
    assert waited.index("wait_until_agents_started") < waited.index("wait_until_tables_registered")


def test_a_seek_forgets_what_faust_has_read() -> None:
    source = inspect.getsource(driver.AIOKafkaConsumerThread._seek_wait)
    assert "self.consumer._read_offset[tp] = offset" in source


def test_the_consumer_and_its_thread_are_made_where_we_replace_them() -> None:
    assert "AIOKafkaConsumerThread(" in inspect.getsource(driver.Consumer._new_consumer_thread)
    assert "aiokafka.AIOKafkaConsumer(" in inspect.getsource(driver.AIOKafkaConsumerThread._create_worker_consumer)
    assert driver.Transport.Consumer is driver.Consumer
    assert issubclass(ConsumerThread, object)
    assert "_fetch_max_wait_ms" in inspect.getsource(aiokafka.AIOKafkaConsumer)


def test_the_generation_of_an_assignment_is_on_the_app_and_on_each_message() -> None:
    listener = inspect.getsource(driver.ConsumerRebalanceListener.on_partitions_assigned)
    assert "app.consumer_generation_id = generation" in listener
    assert "generation_id=self.app.consumer_generation_id" in inspect.getsource(driver.Consumer._to_message)


def test_records_and_seeks_pass_where_we_note_what_was_read_up_to() -> None:
    fetch = inspect.getsource(driver.AIOKafkaConsumerThread._fetch_records)
    assert "return await fetcher.fetched_records(" in fetch
    assert "self._fetch_records," in inspect.getsource(driver.AIOKafkaConsumerThread.getmany)
    assert "consumer.seek(tp, offset)" in inspect.getsource(driver.AIOKafkaConsumerThread._seek_wait)
    drained = inspect.getsource(Fetcher.fetched_records)
    assert drained.index("getall(") < drained.index("await asyncio.wait(")  # nothing is awaited after it
    assert "return drained" in drained
    assert "position != self._partition_records.next_fetch_offset" in inspect.getsource(FetchResult.check_assignment)
    assert "is_control_batch" in inspect.getsource(PartitionRecords._unpack_records)


def test_a_rebalance_begins_a_new_state_of_each_partition() -> None:
    assert "self._tp_state" in inspect.getsource(Assignment.state_value)
    assert "TopicPartitionState(" in inspect.getsource(Assignment.__init__)


def test_what_a_consumer_reads_is_set_before_it_starts() -> None:
    assert "isolation_level=self._isolation_level" in inspect.getsource(aiokafka.AIOKafkaConsumer.start)


def test_the_coordinator_sends_commits_with_the_generation_given() -> None:
    for name in ("_send_req", "ensure_coordinator_known", "fetch_committed_offsets"):
        assert inspect.iscoroutinefunction(getattr(GroupCoordinator, name))
    source = inspect.getsource(GroupCoordinator)
    assert "self.member_id" in source
    assert "_rejoin_needed_fut.set_result(" in inspect.getsource(GroupCoordinator.request_rejoin)
    request = OffsetCommitRequest("g", 1, "m", -1, [("t", [(0, 5, "")])])
    assert request is not None

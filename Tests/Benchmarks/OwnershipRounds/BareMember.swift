import CMQLockRdKafka
import Foundation
import MQLockLineReader
import MQLockTesting
import Synchronization

/// A member by librdkafka alone: it owns what it is assigned, at once, and gives it up when that is revoked.
final class BareMember: Sendable {
    private let client: BareClient
    private let queue: BareQueue
    private let topic: Topic
    private let isLeaving = Atomic(false)

    init(_ place: Place) throws {
        topic = place.topic
        client = try BareClient(
            RD_KAFKA_CONSUMER, place.brokers,
            [
                "group.id": "bare/\(place.topic.name)", "partition.assignment.strategy": "range",
                "session.timeout.ms": String(place.session), "heartbeat.interval.ms": String(place.heartbeat),
                "max.poll.interval.ms": String(place.session * 2), "enable.auto.commit": "false",
                "auto.offset.reset": "latest",
            ], events: RD_KAFKA_EVENT_REBALANCE)
        rd_kafka_poll_set_consumer(client.raw)
        queue = BareQueue(rd_kafka_queue_get_consumer(client.raw))
    }

    func run() throws {
        try client.learn(topic.name)
        Sighting(.joins).tell()
        try BareList(topic.name, [-1]).with { try BareClient.check(rd_kafka_subscribe(client.raw, $0)) }
        Thread.detachNewThread { [self] in
            for _ in LineReader() {}
            isLeaving.store(true, ordering: .releasing)
            rd_kafka_queue_yield(queue.raw)
        }
        while !isLeaving.load(ordering: .acquiring) { turn(wait: 1000) }
        rd_kafka_consumer_close_queue(client.raw, queue.raw)
        while rd_kafka_consumer_closed(client.raw) == 0 { turn(wait: 10) }
    }

    private func turn(wait: Int32) {
        guard let event = rd_kafka_queue_poll(queue.raw, wait) else { return }
        defer { rd_kafka_event_destroy(event) }
        guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE,
            let list = rd_kafka_event_topic_partition_list(event)
        else { return }
        let shards = UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt))
            .map { Int($0.partition) }
        if rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            rd_kafka_assign(client.raw, list)
            rd_kafka_pause_partitions(client.raw, list)
            tell(.owned, shards)
        } else {
            tell(.ended, shards)
            rd_kafka_assign(client.raw, nil)
        }
    }

    private func tell(_ what: Sighting.What, _ shards: [Int]) {
        let now = HistoryClock.now
        shards.map { Sighting(what, $0, at: now) }.tell()
    }
}

import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Whoever consumes from a queue that is deleted is notified, also if somebody declares the queue again at once. A
    /// broker may make the consumer one of the new queue.
    @Suite struct DeletedQueueTests {}
}

extension LiveBrokerTests.DeletedQueueTests {
    /// What the protocol asks of every program: it has to do on all versions.
    @Test func aConsumerOnALimitedChannelIsCancelled() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let queue = try broker.objects(name).queue
            try broker.raw { other in
                for round in 0..<20 {
                    try other.declare(queue, arguments: ["x-queue-type": "quorum"])
                    try RawClient.run(broker.uri) { consumer in
                        // Consuming from a quorum queue that is not up yet ends the connection.
                        try other.publish([0], to: queue)
                        try other.purge(queue)
                        try consumer.consume(queue, prefetch: 1)
                        try consumer.limit(to: .max)
                        try other.delete(queue)
                        try other.declare(queue, arguments: ["x-queue-type": "quorum"])
                        try other.publish([1], to: queue)
                        #expect(try consumer.isCancelled(), "in round \(round)")
                    }
                    try other.delete(queue)
                }
            }
        }
    }

    /// What the lock rests on: the queue, and for `token` the register, which says which token is valid. Nobody but
    /// its holder can delete an exclusive queue.
    @Test(arguments: [
        (RabbitMQLocks.Mutex.singleActiveConsumer, false), (.token, true),
    ]) func aHolderIsNotified(_ mutex: RabbitMQLocks.Mutex, _ isRegister: Bool) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks(mutex: mutex)
            let objects = try broker.objects(name)
            let queue = isRegister ? objects.register : objects.queue
            let kind = mutex == .singleActiveConsumer ? broker.kindOfDeletion : .queueDeleted
            for _ in 0..<5 {
                let held = try await locks.acquire(name, within: .seconds(20))
                try broker.raw { other in
                    try other.delete(queue)
                    try other.declare(queue, arguments: ["x-queue-type": "quorum"])
                    try other.publish([1], to: queue)
                }
                #expect(try await held.lease.lossReason()?.kind == kind)
                try broker.raw { try $0.delete(queue) }
            }
            await locks.shutdown()
        }
    }
}

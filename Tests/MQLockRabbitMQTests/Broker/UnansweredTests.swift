import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Rule 8 where it is hard: one queue of the broker answers nothing any more.
    @Suite struct UnansweredTests {}
}

extension LiveBrokerTests.UnansweredTests {
    /// Stops and continues the process behind a quorum queue: what RabbitMQ does to one that has lost its leader.
    private func queue(_ queue: String, of broker: LiveBroker, _ verb: String) async throws {
        _ = try await broker.ctl("eval", "sys:\(verb)(whereis('%2F_\(queue)')).")
    }

    @Test(.enabled(if: LiveBroker.shared?.control != nil, "needs rabbitmqctl: brokers/with --rabbitmq -- swift test"))
    func aDeadQueueCostsItsOwnLockOnly() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { alive in
            try await broker.withName { dead in
                let log = EventLog()
                let locks = try broker.locks("heartbeat=2", observer: log) { $0.requestTimeout = .seconds(1) }
                let held = try await locks.acquire(alive, within: .seconds(20))
                try await locks.acquire(dead, within: .seconds(20)).release()

                try await queue(broker.objects(dead).queue, of: broker, "suspend")
                let error = await #expect(throws: LockError.self) {
                    try await locks.acquire(dead, within: .seconds(6)).release()
                }
                #expect(error?.code == .timedOut)
                #expect(error?.message.contains("does not answer") == true, "\(String(describing: error))")
                #expect(held.lease.isValid, "the session lives on")
                #expect(!log.events.contains { $0.kind == .disconnected })
                // Other names are served meanwhile.
                let other = try LockName("test/unanswered/\(UInt64.random(in: 0 ... .max))")
                try await locks.acquire(other, within: .seconds(20)).release()
                broker.clean([other])

                try await queue(broker.objects(dead).queue, of: broker, "resume")
                // What the given-up requests bring comes back as their channels close.
                try await locks.acquire(dead, within: .seconds(60)).release()
                try await held.release()
                await locks.shutdown()
            }
        }
    }

    /// A wait that ends before the request is given up says what it waited for.
    @Test(
        .enabled(if: LiveBroker.shared?.control != nil, "needs rabbitmqctl: brokers/with --rabbitmq -- swift test"),
        arguments: [RabbitMQLocks.Mutex.singleActiveConsumer, .token, .exclusiveQueue])
    func aWaitNamesTheSilentQueue(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks(mutex: mutex)
            try await locks.acquire(name, within: .seconds(20)).release()
            let objects = try broker.objects(name)
            let queue = mutex == .exclusiveQueue ? objects.line : objects.queue
            try await self.queue(queue, of: broker, "suspend")
            let error = await #expect(throws: LockError.self) {
                try await locks.acquire(name, within: .seconds(3)).release()
            }
            try await self.queue(queue, of: broker, "resume")
            #expect(error?.code == .timedOut)
            #expect(error?.message.contains("does not answer for \(queue)") == true, "\(String(describing: error))")
            try await locks.acquire(name, within: .seconds(20)).release()
            await locks.shutdown()
        }
    }
}

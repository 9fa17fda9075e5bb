import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Rule 11: many names over one session, further sessions for more, and a clear error where the broker's limit is.
    @Suite struct ManyNamesTests {}
}

extension LiveBrokerTests.ManyNamesTests {
    @Test func aThousandNamesHeldAtOnce() async throws {
        let broker = try LiveBrokerTests.broker()
        let log = EventLog()
        let locks = try broker.locks("heartbeat=5", observer: log)
        let run = UInt64.random(in: 0 ... .max)
        let names = try (0..<1000).map { try LockName("test/thousand/\(run)/\($0)") }
        let clock = ContinuousClock.now
        let held = names.map { Contender(locks, $0) }
        for contender in held { _ = try await contender.lease(within: .seconds(300)) }
        print("a thousand names held after \(clock.duration(to: .now).readable)")
        for contender in held { #expect(try await contender.lease().isValid) }
        for contender in held { #expect(try await contender.release() == nil) }
        let lost = log.events.filter { $0.kind == .disconnected }
        #expect(lost.isEmpty, "\(lost.compactMap(\.reason))")
        await locks.shutdown()
        try broker.raw { client in
            for name in names {
                let objects = try broker.objects(name)
                try client.delete(objects.queue)
                try client.delete(objects.register)
            }
        }
    }

    /// More locks than a connection has channels are served over further connections.
    @Test(arguments: RabbitMQLocks.Mutex.allCases) func channelsRunOut(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        let log = EventLog()
        let locks = try broker.locks("heartbeat=10&channel_max=16", mutex: mutex, observer: log)
        let run = UInt64.random(in: 0 ... .max)
        let names = try (0..<40).map { try LockName("test/channels/\(run)/\($0)") }
        defer { broker.clean(names) }
        let held = names.map { Contender(locks, $0, within: .seconds(120)) }
        for contender in held { _ = try await contender.lease(within: .seconds(120)) }
        for contender in held { #expect(try await contender.lease().isValid, "\(contender.name)") }
        #expect(Set(log.events.filter { $0.kind == .connected }.map(\.provider)).count >= 3)
        #expect(!log.events.contains { [.disconnected, .failed, .lost].contains($0.kind) })

        // Others see and wait for all of them.
        let inspector = try RabbitMQInspector(.init(uri: broker.uri))
        for name in [names[0], names[39]] {
            try await eventually("\(name) has a holder to be seen") {
                try await !inspector.view(name).holders.isEmpty
            }
        }
        let other = try broker.locks("heartbeat=10", mutex: mutex)
        let waiting = Contender(other, names[39], within: .seconds(60))
        for contender in held { #expect(try await contender.release() == nil) }
        _ = try await waiting.lease()
        #expect(try await waiting.release() == nil)
        await locks.shutdown()
        await other.shutdown()
    }

    /// Where the broker admits no further connection, one lock more is refused, and costs no other.
    @Test(.enabled(if: LiveBroker.shared?.control != nil, "needs rabbitmqctl: brokers/with --rabbitmq -- swift test"))
    func connectionsRunOut() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withUser { uri, vhost, _ in
            try await broker.ctl("-q", "set_vhost_limits", "-p", vhost, #"{"max-connections": 2}"#)
            let log = EventLog()
            let locks = try broker.locks(mutex: .singleActiveConsumer, observer: log) {
                $0.uri = "\(uri)?heartbeat=10&channel_max=16"
            }
            var held: [Contender] = []
            var refusal: LockError?
            for number in 0..<20 where refusal == nil {
                let contender = Contender(locks, try LockName("limited/\(number)"), within: .seconds(20))
                refusal = try await contender.failure()
                if refusal == nil { held.append(contender) }
            }
            let error = try #require(refusal)
            #expect(error.code == .limitExceeded && error.message.contains("connection limit (2)"), "\(error)")
            #expect(held.count >= 12)
            for contender in held { #expect(try await contender.lease().isValid, "\(contender.name)") }
            // What becomes free can be used.
            #expect(try await held[0].release() == nil)
            try await locks.acquire("limited/again", within: .seconds(20)).release()
            for contender in held.dropFirst() { #expect(try await contender.release() == nil) }
            #expect(!log.events.contains { $0.kind == .disconnected })
            await locks.shutdown()
        }
    }
}

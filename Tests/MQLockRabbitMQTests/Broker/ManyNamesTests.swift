import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Rule 11: many names over one session, and a clear error where the broker's limit is.
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

    @Test func channelsRunOut() async throws {
        let broker = try LiveBrokerTests.broker()
        let locks = try broker.locks("heartbeat=10&channel_max=20")
        let run = UInt64.random(in: 0 ... .max)
        let names = try (0..<30).map { try LockName("test/channels/\(run)/\($0)") }
        defer { broker.clean(names) }
        var held: [Contender] = []
        var refusal: LockError?
        for name in names where refusal == nil {
            let contender = Contender(locks, name, within: .seconds(20))
            refusal = try await contender.failure()
            if refusal == nil { held.append(contender) }
        }
        let error = try #require(refusal)
        #expect(error.code == .limitExceeded, "\(error)")
        #expect(error.message.contains("channel_max"), "\(error)")
        #expect(held.count >= 15)
        for contender in held { #expect(try await contender.lease().isValid, "\(contender.name)") }
        // What becomes free can be used.
        #expect(try await held[0].release() == nil)
        for contender in held.dropFirst() { #expect(try await contender.release() == nil) }
        let again = try await locks.acquire(names[29], within: .seconds(20))
        try await again.release()
        await locks.shutdown()
    }
}

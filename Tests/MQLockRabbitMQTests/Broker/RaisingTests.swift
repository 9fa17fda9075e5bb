import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Numbers of locks that are held are raised.
    @Suite struct RaisingTests {}
}

extension LiveBrokerTests.RaisingTests {
    private var broker: LiveBroker { get throws { try #require(LiveBroker.shared) } }

    private func above(_ token: FencingToken, by steps: UInt64) throws -> FencingToken {
        try #require(FencingToken(rawValue: token.rawValue + steps))
    }

    /// Far beyond the clock, so that only the raise can have brought it.
    @Test(arguments: ["session", "quorum"]) func theNextGrantIsAboveWhatWasRaised(proof: String) async throws {
        let broker = try broker
        try await broker.withName { name in
            let locks = try broker.locks("heartbeat=2&proof=\(proof)", mutex: .singleActiveConsumer)
            let other = try broker.locks("heartbeat=2&proof=\(proof)", mutex: .singleActiveConsumer)
            for _ in 0..<3 {
                let held = try await locks.acquire(name, within: .seconds(30))
                let token = held.lease.fencingToken
                let wanted = try above(token, by: 1 << 36)
                let first = try await locks.raise(held.lease, above: wanted)
                #expect(first > wanted)
                // Once more, in the same hold.
                let second = try await locks.raise(held.lease, above: first)
                #expect(second > first)
                #expect(held.lease.fencingToken == token && held.lease.isValid)
                try await held.release()
                let next = try await other.acquire(name, within: .seconds(30))
                #expect(next.lease.fencingToken > second)
                try await next.release()
            }
            // Nothing is left behind but the one token, and the companion that proved the last hold.
            let (queue, left) = (try broker.objects(name).queue, proof == "quorum" ? 2 : 1)
            try await eventually("\(left) messages") { try broker.raw { try $0.counts(queue)?.messages } == left }
            await locks.shutdown()
            await other.shutdown()
        }
    }

    @Test func whatCannotBeRaisedIsRefused() async throws {
        let broker = try broker
        try await broker.withName { name in
            let locks = try broker.locks(mutex: .singleActiveConsumer)
            let held = try await locks.acquire(name, within: .seconds(30))
            let lease = held.lease
            // Two days ahead of the clock.
            let far = try above(lease.fencingToken, by: (2 * 24 * 3600 * 1000) << 21)
            await #expect(throws: LockError.self) { _ = try await locks.raise(lease, above: far) }
            #expect(lease.isValid)
            try await held.release()
            let error = await #expect(throws: LockError.self) {
                _ = try await locks.raise(lease, above: lease.fencingToken)
            }
            #expect(error?.code == .released)
            await locks.shutdown()
        }
    }

    @Test(arguments: [RabbitMQLocks.Mutex.token, .exclusiveQueue])
    func anotherMutexIsRefusedAtConstruction(_ mutex: RabbitMQLocks.Mutex) throws {
        let broker = try broker
        let members = try (0..<3).map {
            try broker.locks(mutex: $0 == 1 ? mutex : .singleActiveConsumer)
        }
        let error = #expect(throws: LockError.self) { _ = try BrokerQuorum(members) }
        #expect(error?.code == .invalidConfiguration)
    }
}

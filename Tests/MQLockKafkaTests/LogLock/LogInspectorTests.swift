import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Who holds and who waits, by the log.
    @Suite struct LogInspectorTests {}
}

extension LiveKafkaTests.LogInspectorTests {
    @Test func holdersAndWaitersAreSeen() async throws {
        let place = try await LogPlace.make()
        let inspector = try place.inspector
        #expect(try await inspector.view("n").state == .free)
        let (locks, others) = (try place.locks(), try place.locks())
        let held = try await locks.acquire("n")
        let (token, owner) = (held.lease.fencingToken, held.lease.record.owner)
        let waiter = Task { try await others.acquire("n").release() }
        try await place.inLine("n", 2)
        let view = try await inspector.view("n")
        #expect(view.state == .held)
        #expect(view.holders.map(\.fencingToken) == [token])
        #expect(view.waiters.map(\.place) == [1])
        #expect(view.holders.first?.owner == owner)
        #expect(try await inspector.heldNames() == ["n"])
        try await held.release()
        try await waiter.value
        #expect(try await inspector.heldNames() == [])
        await locks.shutdown()
        await others.shutdown()
    }

    /// A fetch at the end of the log is answered when something comes, or late. Nobody who starts has to wait for that: not
    /// on a log that is as long as what is looked at first, nor on longer ones.
    @Test(arguments: [0, 1, 30]) func nobodyWaitsAtTheEndOfTheLogToStart(_ grants: Int) async throws {
        let place = try await LogPlace.make()
        let locks = try place.locks(ttl: .seconds(60))
        for _ in 0..<grants { try await locks.acquire("n").release() }
        var configuration = KafkaLocks.Configuration(connection: place.broker.connection, topic: place.topic)
        configuration.connection.properties["fetch.wait.max.ms"] = "50000"
        let view = try await KafkaLockInspector(configuration).view("n", within: .seconds(25))
        #expect(view.state == .free)
        // The mock would leave our own records lying for as long.
        if place.broker.control == nil {
            let others = try KafkaLocks(configuration)
            try await others.acquire("n", within: .seconds(25)).release()
            await others.shutdown()
        }
        await locks.shutdown()
    }

    @Test func aHolderThatIsAskedToYieldDoes() async throws {
        let place = try await LogPlace.make()
        let inspector = try place.inspector
        let locks = try place.locks(ttl: .seconds(10))
        let (leases, tell) = AsyncStream.makeStream(of: Lease.self)
        let work = Task {
            try await locks.withLock("n") { lease in
                tell.yield(lease)
                try await Task.sleep(for: .seconds(600))
            }
        }
        let lease = try #require(await leases.first { _ in true })
        let other = try #require(FencingToken(rawValue: lease.fencingToken.rawValue - 1))
        #expect(try await inspector.askToYield("n", token: other, within: .seconds(5)) == .silent)
        #expect(lease.isValid)
        let answer = try await inspector.askToYield("n", token: lease.fencingToken, within: .seconds(60))
        guard case .yielding = answer else {
            Issue.record("\(answer)")
            return
        }
        await #expect { try await work.value } throws: { ($0 as? LockError)?.lossReason?.kind == .askedToYield }
        await locks.shutdown()
    }

    @Test func everyChangeIsReported() async throws {
        let place = try await LogPlace.make()
        let locks = try place.locks(ttl: .seconds(10))
        let others = try place.locks(ttl: .seconds(10))
        let held = try await locks.acquire("n")
        var changes = try place.inspector.changes(of: "n").makeAsyncIterator()
        #expect(try await changes.next()?.kind == .held)
        let waiter = Task { try await others.acquire("n").release() }
        #expect(try await changes.next()?.kind == .waiting)
        try await held.release()
        var kinds: [LockChange.Kind] = []
        while kinds.count < 3, let change = try await changes.next() { kinds.append(change.kind) }
        #expect(kinds == [.released, .granted, .released])
        try await waiter.value
        await locks.shutdown()
        await others.shutdown()
    }
}

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

    @Test func everyChangeIsTold() async throws {
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

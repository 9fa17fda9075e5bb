import MQLock
import MQLockTesting
import Testing

@Suite struct InMemoryTests {
    let clock = ManualClock()
    let broker: InMemoryBroker

    init() { broker = InMemoryBroker(clock: clock) }

    @Test func aReleaseHandsOverToTheNextInLine() async throws {
        let first = InMemoryLocks(broker)
        let second = InMemoryLocks(broker)
        let held = try await first.acquire("name")
        let token = held.lease.fencingToken
        let refused = try await second.tryAcquire("name") == nil
        #expect(refused)
        async let next = second.acquire("name").lease.fencingToken
        while broker.contenders(for: "name") < 2 { await Task.yield() }
        try await held.release()
        #expect(try await next > token)
    }

    @Test func aSilencedHolderIsLostBeforeTheNextIsGranted() async throws {
        let first = InMemoryLocks(broker)
        let second = InMemoryLocks(broker)
        let held = try await first.acquire("name")
        let lease = held.lease
        async let next = second.acquire("name").lease.fencingToken
        while broker.contenders(for: "name") < 2 { await Task.yield() }
        first.silence()
        clock.advance(by: .milliseconds(8999))
        #expect(lease.isValid)
        clock.advance(by: .milliseconds(1))
        #expect(!lease.isValid)
        clock.advance(by: .seconds(1))
        #expect(try await next > lease.fencingToken)
        var states: [LeaseState] = []
        for await state in lease.states { states.append(state) }
        #expect(states == [.lost(LossReason(.proofOverdue))])
        do throws(LockError) {
            try await held.release()
            Issue.record("a lost lock was released")
        } catch {
            #expect(error.code == .lost)
        }
    }
}

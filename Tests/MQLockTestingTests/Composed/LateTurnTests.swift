import MQLock
import MQLockTesting
import Testing

/// Who loses its turn on the way to its slots takes another, because somebody with a larger token can have come and gone.
@Suite(.timeLimit(.minutes(1))) struct LateTurnTests {
    @Test(arguments: [true, false]) func itsTokenIsLargerThanThatOfWhoCameBetween(_ writes: Bool) async throws {
        let clock = ManualClock()
        let broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(1000))
        let (slow, fast) = (InMemoryLocks(broker), InMemoryLocks(broker))
        let turnstile: LockName = "name/turnstile"
        for locks in [slow, fast] { try await locks.acquire("warm up").release() }
        // The turn is granted, and what asks for slots is still on its way.
        slow.hold(.toBroker)
        let waiting = Task {
            let lock = try ReadWriteLock("name", readers: 2, on: slow)
            let held = writes ? try await lock.acquireWrite() : try await lock.acquireRead()
            let lease = held.lease
            #expect(lease.isValid)
            try await held.release()
            return lease.fencingToken
        }
        while slow.inFlight(.toBroker) == 0 { await Task.yield() }
        slow.deliverNext(.toBroker)
        #expect(broker.contenders(for: turnstile) == 1)
        while slow.inFlight(.toBroker) == 0 { await Task.yield() }
        broker.deleteQueue(of: turnstile)
        let between = try await ReadWriteLock("name", readers: 2, on: fast).withWrite { $0.fencingToken }
        slow.heal()
        #expect(try await waiting.value > between)
        // And leaves nothing behind.
        for name: LockName in ["name/turnstile", "name/0", "name/1"] { #expect(broker.contenders(for: name) == 0) }
    }

    /// Else it could wait for a slot of who has the turn now, and that one for one of its own.
    @Test(arguments: [true, false]) func itLeavesTheSlotsAtOnce(_ writes: Bool) async throws {
        let clock = ManualClock()
        let broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(1000))
        let withdrawals = Withdrawals(of: "name/0")
        let (mine, theirs) = (InMemoryLocks(broker, observer: withdrawals), InMemoryLocks(broker))
        let lock = try ReadWriteLock("name", readers: 1, on: mine)
        let reader = try await ReadWriteLock("name", readers: 1, on: theirs).acquireRead()
        let waiting = Task {
            try await (writes ? lock.acquireWrite() : lock.acquireRead()).release()
        }
        while broker.contenders(for: "name/0") < 2 { await Task.yield() }
        broker.deleteQueue(of: "name/turnstile")
        #expect(await withdrawals.first())
        try await reader.release()
        try await waiting.value
    }
}

/// Notices when a wait for one name is given up.
private final class Withdrawals: LockObserver {
    private let name: LockName
    private let (stream, continuation) = AsyncStream.makeStream(of: Void.self)

    init(of name: LockName) { self.name = name }

    func observe(_ event: LockEvent) {
        if event.kind == .cancelled, event.name == name { continuation.yield() }
    }

    func first() async -> Bool { await stream.first { _ in true } != nil }
}

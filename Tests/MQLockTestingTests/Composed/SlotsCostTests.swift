import MQLock
import MQLockTesting
import Testing

/// What the article says about the cost, in requests of an acquire and of a release.
@Suite(.timeLimit(.minutes(1))) struct SlotsCostTests {
    private let clock = ManualClock()
    private let broker: InMemoryBroker
    private let mine: InMemoryLocks
    private let theirs: InMemoryLocks

    init() async throws {
        broker = InMemoryBroker(clock: clock)
        (mine, theirs) = (InMemoryLocks(broker), InMemoryLocks(broker))
        for locks in [mine, theirs] { try await locks.acquire("warm up").release() }
    }

    private func requests(_ body: () async throws -> Void) async throws -> Int {
        let before = broker.requests
        try await body()
        return broker.requests - before
    }

    @Test(arguments: [1, 4, 16]) func aWriterTakesTheTurnstileAndAllSlotsAReaderTheTurnstileAndOne(
        _ slots: Int
    ) async throws {
        let lock = try ReadWriteLock("name", readers: slots, on: mine)
        #expect(try await requests { try await lock.acquireWrite().release() } == 2 * (slots + 1))
        #expect(try await requests { try await lock.tryAcquireWrite()?.release() } == 2 * (slots + 1))
        #expect(try await requests { try await lock.acquireRead().release() } == 4)
    }

    @Test(arguments: [1, 4, 16]) func aPermitTakesTheTurnstileAndOneSlotAndAWaitAllOfThem(_ permits: Int) async throws {
        let semaphore = try Semaphore("name", permits: permits, on: mine)
        #expect(try await requests { try await semaphore.acquire().release() } == 4)
        #expect(try await requests { try await semaphore.tryAcquire()?.release() } == 2)
        // The slot that was released last is looked at first, however many others are taken.
        let other = try Semaphore("name", permits: permits, on: theirs)
        var held: [HeldBox] = []
        for _ in 0..<permits - 1 { held.append(HeldBox(try await other.acquire().asLock())) }
        try await semaphore.acquire().release()
        #expect(try await requests { try await semaphore.acquire().release() } == 4)
        held.append(HeldBox(try await other.acquire().asLock()))
        // All are tried and then waited for, and all waits but one are withdrawn.
        let cost = try await requests {
            let waiting = Task { try await semaphore.acquire().release() }
            let turnstile: LockName = "name/turnstile"
            let last = try LockName("name/\(permits - 1)")
            while broker.contenders(for: turnstile) == 0 || broker.contenders(for: last) < 2 { await Task.yield() }
            for number in 0..<permits - 1 {
                while broker.contenders(for: try LockName("name/\(number)")) < 2 { await Task.yield() }
            }
            try await held.removeLast().release()
            try await waiting.value
        }
        // Turnstile, tries, waits, withdrawals, and the releases of the freed slot, the turnstile and the permit.
        #expect(cost == 1 + permits + permits + (permits - 1) + 3)
        for box in held { try await box.release() }
    }
}

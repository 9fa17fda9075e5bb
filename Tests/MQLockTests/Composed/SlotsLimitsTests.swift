import MQLock
import MQLockTesting
import Testing

/// What a semaphore and a read-write lock refuse, and every limit of what they accept.
@Suite(.timeLimit(.minutes(1))) struct SlotsLimitsTests {
    private let clock = ManualClock()
    private let broker: InMemoryBroker
    private let locks: InMemoryLocks

    init() {
        broker = InMemoryBroker(clock: clock)
        locks = InMemoryLocks(broker)
    }

    private func code(_ body: () throws(LockError) -> Void) -> LockError.Code? {
        do throws(LockError) {
            try body()
            return nil
        } catch {
            return error.code
        }
    }

    @Test(arguments: [Int.min, -1, 0, 1001, .max]) func numbersThatMakeNoSenseAreRefused(_ number: Int) throws {
        let semaphore = try Semaphore("name", permits: 1, on: locks)
        let codes = [
            code { () throws(LockError) in _ = try Semaphore("name", permits: number, on: locks) },
            code { () throws(LockError) in try semaphore.setPermits(number) },
            code { () throws(LockError) in _ = try ReadWriteLock("name", readers: number, on: locks) },
            code { () throws(LockError) in _ = try ReadWriteLock("name", readers: 1, slots: number, on: locks) },
        ]
        #expect(codes == Array(repeating: .invalidConfiguration, count: 4))
        #expect(semaphore.permits == 1)
    }

    @Test func writersTakeAtLeastAsManySlotsAsThereAreReaders() throws {
        #expect(
            code { () throws(LockError) in _ = try ReadWriteLock("name", readers: 3, slots: 2, on: locks) }
                == .invalidConfiguration)
        _ = try ReadWriteLock("name", readers: 1000, slots: 1000, on: locks)
        _ = try Semaphore("name", permits: 1000, on: locks)
    }

    /// While `readers` changes from one number to another, by the way that the article describes.
    @Test func aWriterThatKnowsMoreSlotsExcludesTheReadersOfOtherProcesses() async throws {
        let few = try ReadWriteLock("name", readers: 1, slots: 2, on: locks)
        let many = try ReadWriteLock("name", readers: 2, on: InMemoryLocks(broker))
        let first = try await many.acquireRead()
        let second = try await many.acquireRead()
        try await first.release()
        #expect(try await few.tryAcquireWrite()?.release() == nil)
        try await second.release()
        let writer = try await few.acquireWrite()
        #expect(try await many.tryAcquireRead()?.release() == nil)
        try await writer.release()
    }

    @Test func theNamesOfThePartsHaveToFit() async throws {
        let longest = String(repeating: "n", count: 190)
        let semaphore = try Semaphore(longest, permits: 1000, on: locks)
        #expect(try await semaphore.withPermit { lease, slot in slot } == 0)
        try await ReadWriteLock(longest, readers: 1000, on: locks).withWrite { _ in }
        for name in ["", longest + "n"] {
            #expect(
                code { () throws(LockError) in _ = try Semaphore(name, permits: 1, on: locks) } == .invalidName)
            #expect(code { () throws(LockError) in _ = try ReadWriteLock(name, on: locks) } == .invalidName)
        }
    }

    @Test(arguments: Duration.extremes) func everyLimitOnAWaitIsOne(_ limit: Duration) async throws {
        let semaphore = try Semaphore("permits", permits: 1, on: locks)
        let lock = try ReadWriteLock("lock", readers: 2, on: locks)
        let waits: [@Sendable () async throws -> Void] = [
            { try await semaphore.withPermit(within: limit) { _, _ in } },
            { try await lock.withRead(within: limit) { _ in } },
            { try await lock.withWrite(within: limit) { _ in } },
        ]
        for wait in waits {
            do {
                try await wait()
                #expect(limit > .zero)
            } catch let error as LockError {
                #expect(error.code == .timedOut && limit < .milliseconds(1))
                #expect(error.message.contains("permits ") || error.message.contains("lock lock "))
            }
        }
    }

    /// With a reader before: the writer waits for it with the turn in hand.
    @Test func aDeadlineIsOneForTheTurnAndTheSlots() async throws {
        let lock = try ReadWriteLock("lock", readers: 2, on: locks)
        let reader = try await lock.acquireRead()
        let turn = try await locks.acquire("lock/turnstile")
        // Waits for three seconds for the one, and then for one second for the other.
        let writer = Task { try await lock.acquireWrite(within: .seconds(4)).release() }
        await eventually { clock.sleepers > 0 }
        clock.advance(by: .seconds(3))
        try await turn.release()
        // The free slot, once the turn is taken: the other one is waited for in this process.
        await eventually { broker.contenders(for: "lock/turnstile") + broker.contenders(for: "lock/1") == 2 }
        clock.advance(by: .seconds(1))
        let error = await #expect(throws: LockError.self) { try await writer.value }
        #expect(error?.code == .timedOut)
        try await reader.release()
        #expect(try await lock.tryAcquireWrite()?.release() != nil)
    }
}

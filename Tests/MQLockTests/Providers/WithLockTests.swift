import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct WithLockTests {
    private let clock = ManualClock()
    private let locks: InMemoryLocks
    private let others: InMemoryLocks

    private struct Own: Error {}

    init() {
        let broker = InMemoryBroker(clock: clock)
        locks = InMemoryLocks(broker)
        others = InMemoryLocks(broker)
    }

    private func isFree(_ name: LockName) async throws -> Bool {
        guard let held = try await others.tryAcquire(name) else { return false }
        try await held.release()
        return true
    }

    @Test func theBodysResultAndErrorComeOutAndTheLockIsFree() async throws {
        #expect(try await locks.withLock("name") { $0.name } == "name")
        #expect(try await isFree("name"))
        await #expect(throws: Own.self) { try await locks.withLock("name") { _ in throw Own() } }
        #expect(try await isFree("name"))
        await #expect(throws: Own.self) { try await locks.withCheckedLock("name") { _ in throw Own() } }
        #expect(try await isFree("name"))
    }

    /// Ends by cancellation only.
    private static func forever() async { for await _ in AsyncStream<Never>.makeStream().stream {} }

    @Test func aLossCancelsTheBodyAndItsErrorIsAttached() async {
        let error = await #expect(throws: LockError.self) {
            try await locks.withLock("name") { [locks] _ in
                locks.dropSession()
                await Self.forever()
                throw Own()
            }
        }
        #expect(error?.code == .lost && error?.lossReason?.kind == .connectionClosed)
        #expect(error?.underlying is Own)
    }

    @Test func aBodyThatReturnsAfterTheLossHasLostAllTheSame() async {
        let error = await #expect(throws: LockError.self) {
            try await locks.withLock("name") { [locks] _ in locks.dropSession() }
        }
        #expect(error?.code == .lost && error?.underlying == nil)
    }

    @Test func theProofThatRunsOutCancelsTheBody() async {
        let error = await #expect(throws: LockError.self) {
            try await locks.withLock("name") { [locks, clock] _ in
                locks.silence()
                clock.advance(by: .seconds(9))
                await Self.forever()
            }
        }
        #expect(error?.lossReason?.kind == .proofOverdue)
    }

    @Test func theCallersCancellationReachesTheBodyAndTheLockIsReleased() async throws {
        let work = Task {
            try await locks.withLock("name") { _ in
                withUnsafeCurrentTask { $0?.cancel() }
                try Task.checkCancellation()
            }
        }
        await #expect(throws: CancellationError.self) { try await work.value }
        let (runs, running) = AsyncStream.makeStream(of: Void.self)
        let outer = Task {
            try await locks.withLock("name") { _ in
                running.finish()
                await Self.forever()
            }
        }
        for await _ in runs {}
        outer.cancel()
        try await outer.value
        #expect(try await isFree("name"))
    }

    @Test func aCancelledCallerGetsNoLock() async {
        let work = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await locks.withLock("name") { _ in Issue.record("the body ran") }
        }
        let error = await #expect(throws: LockError.self) { try await work.value }
        #expect(error?.code == .cancelled)
    }

    /// Not sendable on purpose.
    private final class Ledger { var lines: [String] = [] }

    private actor Clerk {
        let ledger = Ledger()

        func work(_ locks: InMemoryLocks) async throws -> Int {
            try await locks.withCheckedLock("ledger") { lease in
                ledger.lines.append(lease.fencingToken.description)
                await Task.yield()
                return ledger.lines.count
            }
        }
    }

    @Test func theCheckedFormRunsInTheCallersIsolation() async throws {
        #expect(try await Clerk().work(locks) == 1)
    }

    @Test func theCheckedFormTellsOfALossAtTheEnd() async {
        let error = await #expect(throws: LockError.self) {
            try await locks.withCheckedLock("name") { lease in
                locks.dropSession()
                #expect(!Task.isCancelled && !lease.isValid)
                throw Own()
            }
        }
        #expect(error?.code == .lost && error?.underlying is Own)
    }

    @Test func timeAndLimitsAreReported() async throws {
        let held = try await others.acquire("name")
        let error = await #expect(throws: LockError.self) {
            try await locks.withLock("name", within: .zero) { _ in }
        }
        #expect(error?.code == .timedOut)
        try await held.release()
        #expect(try await isFree("name"))
    }
}

import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct HeldLockTests {
    private let clock = ManualClock()
    private let endings = Locked<[HoldEnding]>([])

    private func hold(_ record: LeaseRecord) -> HeldLock {
        HeldLock(Hold(record) { [endings] _, ending in endings.withLock { $0.append(ending) } })
    }

    @Test func aReleaseHappensOnce() async throws {
        let record = LeaseRecord(clock: clock)
        let held = hold(record)
        try await held.release()
        #expect(record.state == .released)
        let all = endings.withLock { $0 }
        guard all.count == 1, case .released = all[0] else {
            Issue.record("ended with \(all)")
            return
        }
    }

    @Test func aDropReleasesAndIsReported() async {
        let record = LeaseRecord(clock: clock)
        do { _ = hold(record) }
        #expect(record.state == .released)
        await eventually { !endings.withLock { $0 }.isEmpty }
        guard case .dropped? = endings.withLock({ $0.first }) else {
            Issue.record("a drop was not reported as one")
            return
        }
    }

    @Test func aReleaseAfterTheLossThrowsAndTouchesNothing() async {
        let record = LeaseRecord(clock: clock)
        let held = hold(record)
        record.lose(LossReason(.connectionClosed))
        #expect(await code(ofReleasing: held) == .lost)
        guard case .lost(let reason)? = endings.withLock({ $0.first }) else {
            Issue.record("a loss was not forgotten as one")
            return
        }
        #expect(reason.kind == .connectionClosed)
        #expect(record.state == .lost(reason))
    }

    @Test func aReleaseAfterTheProofRanOutIsALoss() async {
        let record = LeaseRecord(clock: clock)
        let held = hold(record)
        clock.advance(by: .seconds(10))
        #expect(await code(ofReleasing: held) == .lost)
    }

    @Test func aCancelledTaskReleasesAllTheSame() async throws {
        let record = LeaseRecord(clock: clock)
        let work = Task { [self] in
            let held = hold(record)
            withUnsafeCurrentTask { $0?.cancel() }
            try await held.release()
        }
        try await work.value
        #expect(record.state == .released)
    }
}

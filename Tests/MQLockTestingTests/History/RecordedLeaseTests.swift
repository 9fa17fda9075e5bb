import MQLock
import MQLockTesting
import Testing

@Suite("Recorded leases") struct RecordedLeaseTests {
    private struct MovableClock: LockClock {
        private let time = Locked(ContinuousClock.now)
        var now: ContinuousClock.Instant { time.withLock { $0 } }
        func move(_ by: Duration) { time.withLock { $0 += by } }
        func sleep(until deadline: ContinuousClock.Instant) async throws {}
    }

    private let clock = MovableClock()
    private let start: UInt64

    init() { start = HistoryClock.nanoseconds(of: clock.now) }

    private func record(proven: Duration = .seconds(2)) -> LeaseRecord {
        LeaseRecord(
            name: "n", token: FencingToken(rawValue: 7)!, owner: "me",
            proof: ProofOfLife(until: clock.now + proven, clock: clock))
    }

    private var recorder: HistoryRecorder { HistoryRecorder(process: "p", clock: clock) }

    private func end(_ recorder: HistoryRecorder) -> (at: UInt64, cause: History.EndCause, validUntil: UInt64)? {
        guard let event = recorder.events.last, case .ended(let cause, let validUntil) = event.kind else { return nil }
        return (event.at - start, cause, validUntil - start)
    }

    @Test func endIsTheReleaseThatFollows() {
        let recorder = recorder
        let lease = Lease(record())
        clock.move(.seconds(1))
        recorder.recordGrant(of: lease, contender: "c")
        recorder.recordEnd(of: lease, contender: "c")
        #expect(recorder.events.first?.at == start)
        #expect(recorder.events.first?.kind == .granted(token: 7))
        #expect(end(recorder)?.cause == .released)
        #expect(end(recorder)?.validUntil == 1_000_000_000)
    }

    @Test func lossNoticedLateEndedInTime() {
        let recorder = recorder
        let record = record()
        clock.move(.seconds(60))
        recorder.recordEnd(of: Lease(record), contender: "c")
        #expect(end(recorder)?.at == 60_000_000_000)
        #expect(end(recorder)?.validUntil == 2_000_000_000)
        #expect(end(recorder)?.cause == .lost("proof of life overdue"))
    }

    @Test func lossByAnotherReasonAfterTheProofEndedWithTheProof() {
        let record = record()
        clock.move(.seconds(60))
        record.proof.end()
        record.lose(LossReason(.connectionClosed))
        #expect(record.endedAt == clock.now - .seconds(58))
    }

    @Test func lossBeforeTheProofRanOutEndedAtOnce() {
        let record = record()
        clock.move(.seconds(1))
        record.proof.end()
        record.lose(LossReason(.connectionClosed))
        clock.move(.seconds(1))
        #expect(record.endedAt == clock.now - .seconds(1))
        #expect(!record.proof.extend(to: clock.now + .seconds(9)))
        #expect(record.proof.provenUntil == nil)
    }

    @Test func watchedLeaseRecordsItsEnd() async {
        let recorder = recorder
        let record = record()
        let watching = recorder.record(lease: Lease(record), contender: "c")
        clock.move(.seconds(1))
        record.lose(LossReason(.forced))
        await watching.value
        #expect(recorder.events.count == 2)
        #expect(end(recorder)?.validUntil == 1_000_000_000)
    }
}

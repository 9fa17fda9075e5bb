import MQLock
import MQLockTesting
import Testing

/// A caller's mistake has a code of its own, and is none of a lock that was lost or a configuration that is wrong.
@Suite(.timeLimit(.minutes(1))) struct MisuseTests {
    private let clock = ManualClock()
    private var locks: InMemoryLocks { InMemoryLocks(InMemoryBroker(clock: clock)) }

    @Test func aLeaseThatIsTooShortIsNotLost() {
        let record = LeaseRecord(clock: clock)
        let error = #expect(throws: LockError.self) { try Lease(record).check(atLeast: .seconds(11)) }
        #expect(error?.code == .leaseTooShort && error?.lossReason == nil)
        #expect(record.isValid && record.state == .held)
        record.setSuspect(true)
        #expect(throws: LockError.self) { try Lease(record).check(atLeast: .seconds(11)) }
        #expect(record.state == .suspect)
        clock.advance(by: .seconds(10))
        let lost = #expect(throws: LockError.self) { try Lease(record).check(atLeast: .seconds(11)) }
        #expect(lost?.code == .lost && lost?.lossReason?.kind == .proofOverdue)
    }

    @Test func aLeaseThatWasReleasedIsNotLost() async throws {
        let held = try await locks.acquire("released")
        let lease = held.lease
        try await held.release()
        let error = #expect(throws: LockError.self) { try lease.check() }
        #expect(error?.code == .released && error?.lossReason == nil)
    }

    /// What runs goes on, and can be run again when it has ended.
    @Test func aCandidateThatCampaignsTwiceIsToldSo() async throws {
        let election = try LeaderElection("twice", on: locks, clock: clock)
        func again() async -> [LockError.Code?] {
            let campaign = await #expect(throws: LockError.self) { try await election.campaign() }
            let run = await #expect(throws: LockError.self) { try await election.run { _ in } }
            return [campaign?.code, run?.code]
        }
        let leadership = try await election.campaign()
        #expect(await again() == [.alreadyRunning, .alreadyRunning])
        #expect(leadership.isValid)
        await election.resign()
        let events = election.events
        let running = Task { try await election.run { _ in for await _ in AsyncStream<Never>.makeStream().stream {} } }
        for await event in events where event.kind == .elected { break }
        #expect(await again() == [.alreadyRunning, .alreadyRunning])
        running.cancel()
        try await running.value
        #expect(try await election.campaign().isValid)
    }

    @Test func everyDurationOfAnElectionThatMakesNoSenseIsRefused() {
        let none: [Duration] = [.zero, .seconds(-1)]
        var wrong: [ElectionSettings] = none.flatMap { none in
            [
                ElectionSettings(backoff: none ... .seconds(1)), ElectionSettings(health: .progress(within: none)),
                ElectionSettings(health: .probe(every: none, within: .seconds(1)) { true }),
                ElectionSettings(health: .probe(every: .seconds(1), within: none) { true }),
            ]
        }
        wrong += [
            ElectionSettings(steadyAfter: .seconds(-1)), ElectionSettings(stopNotice: .seconds(-1)),
            ElectionSettings(stopTimeout: .seconds(-1)), ElectionSettings(standAside: .seconds(-1)),
        ]
        for settings in wrong {
            let error = #expect(throws: LockError.self) { try LeaderElection("l", on: locks, settings: settings) }
            #expect(error?.code == .invalidConfiguration, "\(settings)")
        }
    }
}

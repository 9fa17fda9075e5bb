import MQLock
import MQLockTesting
import Testing

/// Leader election over the in-memory provider, on a clock that only tests move.
@Suite struct InMemoryElectionTests {
    /// A candidate and its session.
    private struct Seat: Election {
        let locks: InMemoryLocks
        let election: LeaderElection

        var name: LockName { election.name }
        var owner: String { election.owner }
        var leadership: Leadership? { election.leadership }
        var events: AsyncStream<ElectionEvent> { election.events }

        func run(_ body: @escaping @Sendable (Leadership) async throws -> Void) async throws {
            try await election.run(body)
        }
        func campaign(within limit: Duration?) async throws(LockError) -> Leadership {
            try await election.campaign(within: limit)
        }
        func resign() async { await election.resign() }
        func shutdown() async { await election.shutdown() }
        func cede() async { await election.cede() }
        func observe() -> AsyncThrowingStream<Leader?, any Error> { election.observe() }
    }

    private static func subject(
        _ mutation: Mutation = [], patience: Duration = .seconds(60)
    ) -> ElectionSubject<Seat> {
        let clock = ManualClock()
        let broker = InMemoryBroker(clock: clock, mutation: mutation)
        var subject = ElectionSubject<Seat>(handOverLimit: broker.sessionTimeout) { name, count in
            while broker.contenders(for: name) < count { await Task.yield() }
        } make: { options in
            let locks = InMemoryLocks(broker, owner: options.owner)
            let election = try LeaderElection(
                options.name, on: locks, owner: options.owner, settings: options.settings, clock: clock)
            return Seat(locks: locks, election: election)
        }
        subject.close = { $0.locks.shutdown() }
        (subject.clock, subject.patience) = (clock, patience)
        // One at a time: of two that move the clock, one could fire a session's end while the other has its renewal in hand.
        let moving = Locked(false)
        subject.pass = { duration in moving.withLock { _ in clock.advance(by: duration) } }
        // The loser is told first; but how far the clock is moved before its task has a turn says nothing.
        subject.noticeTakes = .seconds(86_400)
        subject.endSession = { $0.locks.dropSession() }
        subject.silence = { $0.locks.silence() }
        subject.heal = { $0.locks.heal() }
        return subject
    }

    @Test func electionsOverLocksInMemoryKeepTheRules() async {
        let report = await ElectionSuite(Self.subject()).run()
        print(report)
        #expect(report.hasPassed, "\(report)")
        #expect(report.entries.count { $0.outcome != .passed } == 1, "only watching others is left out")
    }

    /// A suite that passes a broker that elects two tests nothing.
    @Test func aBrokerThatElectsTwoIsFound() async {
        let report = await ElectionSuite(Self.subject(.secondProcessGranted, patience: .seconds(2))).run([
            "candidates take turns by ceding, never two at once", "one leads, then the next, with a larger token",
        ])
        #expect(!report.hasPassed, "\(report)")
    }
}

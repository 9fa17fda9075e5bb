import Foundation
import MQLock
import MQLockTesting
import Testing

/// Several locks as one, locks within themselves and striped locks over the in-memory provider.
@Suite(.timeLimit(.minutes(5))) struct ComposedTests {
    private static var effort: LockConformance<InMemoryLocks>.Effort {
        var effort = LockConformance<InMemoryLocks>.Effort()
        effort.seed =
            ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
        (effort.rounds, effort.interleavings) = (30, 1000)
        print("composed locks: MQLOCK_SEED=\(effort.seed)")
        return effort
    }

    @Test func locksComposedOfTheInMemoryProvidersKeepTheRules() async {
        let report = await LockConformance(inMemorySubject(patience: .seconds(120)), effort: Self.effort).runComposed()
        print(report)
        #expect(report.hasPassed, "\(report)")
        #expect(report.entries.allSatisfy { $0.outcome == .passed }, "nothing has to be left out in memory")
    }

    /// A suite that passes a defect tests nothing.
    @Test(arguments: [
        (Mutation.secondProcessGranted, "several locks, in any order"),
        (.secondProcessGranted, "many entities on 64 locks"),
        (.lateGrantNotPutBack, "generated interleavings of several locks"),
        (.lossNotReported, "the loss of one is the loss of all"),
        (.dropNotReleased, "several dropped locks are released and reported"),
    ])
    func aDefectIsFound(_ mutation: Mutation, _ check: String) async throws {
        var effort = Self.effort
        effort.entities = 500
        let suite = LockConformance(inMemorySubject(mutation, patience: .seconds(2)), effort: effort)
        let report = await suite.runComposed([check])
        #expect(report.entries.map(\.check) == [check])
        #expect(!report.hasPassed, "\(mutation) went unnoticed:\n\(report)")
    }
}

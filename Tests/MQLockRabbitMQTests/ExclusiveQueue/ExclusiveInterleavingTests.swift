import Testing

@testable import MQLockRabbitMQ

/// The claim and the line together, against a simulated broker, over generated interleavings. Set MQLOCK_SEED to the seed
/// that a failure names to see it again.
@Suite(.inBackground, .serialized) struct ExclusiveInterleavingTests {
    private static let rounds = 10_000

    @Test(
        arguments: [
            ([], 3), (.latePublishes, 2), ([.disconnects, .latePublishes], 3), ([.channels, .cancels], 2),
            ([.deletions, .purges, .latePublishes], 3), (Self.all, 3),
        ] as [(LineWorld.Faults, Int)])
    func fencesRiseAndTheLockIsNeverLost(faults: LineWorld.Faults, clients: Int) {
        let seed = TestSeed.next()
        var (grants, exchanges, abandoned, refusals) = (0, 0, 0, 0)
        for round in 0..<UInt64(Self.rounds) {
            let world = ExclusiveWorld(seed: seed &+ round, clients: clients, faults: faults)
            do {
                try world.run(steps: 200)
            } catch {
                Issue.record("MQLOCK_SEED=\(seed &+ round): \(error)")
                return
            }
            grants += world.grants
            exchanges += world.exchanges
            abandoned += world.abandonedInFlight
            refusals += world.refusals
        }
        print(
            """
            exclusive queue, seed \(seed): \(Self.rounds) interleavings, \(grants) grants, \(exchanges) exchanges, \
            \(abandoned) waits given up in flight, \(refusals) refused declarations
            """)
        // A test that hardly grants, renews or interrupts would show nothing.
        #expect(grants > Self.rounds)
        #expect(exchanges > Self.rounds / 10)
        #expect(abandoned > 100)
    }

    /// A cut that nobody is told of leaves the claim with a fence of the past.
    private static let all = LineWorld.Faults.all.subtracting(.cuts)

    /// Each sentence of the protocol that is marked †, broken: the same test finds a counterexample.
    @Test(arguments: ExclusiveWorld.Mutant.allCases) func aBrokenSentenceIsFound(_ mutant: ExclusiveWorld.Mutant) {
        MutantSearch(for: mutant, known: mutant.knownSeed).run { seed in
            let world = ExclusiveWorld(
                seed: seed, clients: mutant.contenders, faults: mutant.faults, broken: mutant)
            do { try world.run(steps: 400) } catch { return error }
            return nil
        }
    }
}

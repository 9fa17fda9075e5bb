import Testing

@testable import MQLockRabbitMQ

/// The state machine of the exclusive queue, against a simulated broker, over generated interleavings. Set MQLOCK_SEED to
/// the seed that a failure names to see it again.
@Suite(.inBackground, .serialized) struct ExclusiveInterleavingTests {
    private static let rounds = 10_000

    @Test(
        arguments: [
            ([], 3), (.disconnects, 3), (.all, 3), ([.lostPublishes, .unanswered, .channels], 2),
        ] as [(ExclusiveWorld.Faults, Int)])
    func numbersGrowAndTheLockIsNeverLost(faults: ExclusiveWorld.Faults, clients: Int) {
        let seed = TestSeed.next()
        var (grants, renewals, abandoned, refusals) = (0, 0, 0, 0)
        for round in 0..<UInt64(Self.rounds) {
            var world = ExclusiveWorld(seed: seed &+ round, clients: clients, faults: faults)
            do {
                try world.run(steps: 160)
            } catch {
                Issue.record("MQLOCK_SEED=\(seed &+ round): \(error)")
                return
            }
            grants += world.grants
            renewals += world.renewals
            abandoned += world.abandonedInFlight
            refusals += world.refusals
        }
        print(
            """
            exclusive queue, seed \(seed): \(Self.rounds) interleavings, \(grants) grants, \(renewals) renewals, \
            \(abandoned) waits given up in flight, \(refusals) refused declarations
            """)
        // A test that hardly grants, renews or interrupts would show nothing.
        #expect(grants > Self.rounds)
        #expect(renewals > 0)
        #expect(abandoned > 100)
    }

    /// Each sentence of the protocol that is marked in the article, broken: the same test finds a counterexample.
    @Test(arguments: ExclusiveMachine.Mutant.allCases)
    func aBrokenSentenceIsFound(_ mutant: ExclusiveMachine.Mutant) {
        find("\(mutant)") { ExclusiveWorld(seed: $0, clients: 3, faults: $1, machine: mutant) }
    }

    @Test(arguments: ExclusiveWorld.Mutant.allCases)
    func aBrokenSentenceIsFoundOutsideTheMachine(_ mutant: ExclusiveWorld.Mutant) {
        find("\(mutant)") { ExclusiveWorld(seed: $0, clients: 3, faults: $1, mutant: mutant) }
    }

    private func find(_ mutant: String, _ world: (UInt64, ExclusiveWorld.Faults) -> ExclusiveWorld) {
        let seed = TestSeed.next()
        for round in 0..<UInt64(2 * Self.rounds) {
            for faults: ExclusiveWorld.Faults in [[], .all, .deletions, [.disconnects, .lostPublishes]] {
                var world = world(seed &+ round, faults)
                do {
                    try world.run(steps: 400)
                } catch {
                    print("\(mutant): \(error), in interleaving \(round) of seed \(seed)")
                    return
                }
            }
        }
        Issue.record("MQLOCK_SEED=\(seed): \(2 * Self.rounds) interleavings did not find the mutant \(mutant)")
    }
}

import Testing

@testable import MQLockRabbitMQ

/// The state machine of the single active consumer, against a simulated broker, over generated interleavings. Set
/// MQLOCK_SEED to the seed that a failure names to see it again.
@Suite(.inBackground, .serialized) struct SACInterleavingTests {
    private static let rounds = 10_000

    @Test(
        arguments: [
            ([], 3), (.disconnects, 3), (.all, 3), ([.all, .cuts], 3), (.lostPublishes, 2),
        ] as [(SACWorld.Faults, Int)])
    func numbersGrowAndTheLockIsNeverLost(faults: SACWorld.Faults, clients: Int) {
        let seed = TestSeed.next()
        var (grants, renewals, abandoned) = (0, 0, 0)
        for round in 0..<UInt64(Self.rounds) {
            var world = SACWorld(seed: seed &+ round, clients: clients, faults: faults)
            do {
                try world.run(steps: 160)
            } catch {
                Issue.record("MQLOCK_SEED=\(seed &+ round): \(error)")
                return
            }
            grants += world.grants
            renewals += world.renewals
            abandoned += world.abandonedInFlight
        }
        print(
            """
            single active consumer, seed \(seed): \(Self.rounds) interleavings, \(grants) grants, \(renewals) renewals, \
            \(abandoned) waits given up in flight
            """)
        // A test that hardly grants, renews or interrupts would show nothing.
        #expect(grants > Self.rounds)
        #expect(renewals > 0)
        #expect(abandoned > 100)
    }

    /// Each sentence of the protocol that was found by a counterexample, broken: the same test finds one again.
    @Test(arguments: SACMachine.Mutant.allCases) func aBrokenSentenceIsFound(_ mutant: SACMachine.Mutant) {
        find("\(mutant)") { SACWorld(seed: $0, clients: 3, faults: $1, machine: mutant) }
    }

    @Test(arguments: SACWorld.Mutant.allCases) func aBrokenSentenceIsFoundOutsideTheMachine(_ mutant: SACWorld.Mutant) {
        find("\(mutant)") { SACWorld(seed: $0, clients: 3, faults: $1, mutant: mutant) }
    }

    private func find(_ mutant: String, _ world: (UInt64, SACWorld.Faults) -> SACWorld) {
        let seed = TestSeed.next()
        for round in 0..<UInt64(2 * Self.rounds) {
            for faults: SACWorld.Faults in [.lostPublishes, [.lostPublishes, .cuts]] {
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

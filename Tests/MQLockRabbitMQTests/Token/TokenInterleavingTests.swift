import Testing

@testable import MQLockRabbitMQ

/// The state machine of the token mutex, against a simulated broker, over generated interleavings. Set MQLOCK_SEED to
/// the seed that a failure names to see it again.
@Suite(.inBackground, .serialized) struct TokenInterleavingTests {
    private static let rounds = 10_000

    @Test(
        arguments: [
            ([], 2), ([.disconnects, .channels], 3), ([.disconnects, .lostPublishes, .unanswered], 3),
            ([.purges, .lostPublishes], 3), ([.hastyHealing], 3), (.deletions, 3), (.all, 3),
        ] as [(TokenWorld.Faults, Int)])
    func neverTwoHoldersAndNeverALostLock(faults: TokenWorld.Faults, clients: Int) {
        let seed = TestSeed.next()
        var (grants, heals, abandoned) = (0, 0, 0)
        for round in 0..<UInt64(Self.rounds) {
            var world = TokenWorld(seed: seed &+ round, clients: clients, faults: faults)
            do {
                try world.run(steps: 200)
            } catch {
                Issue.record("MQLOCK_SEED=\(seed &+ round): \(error)")
                return
            }
            grants += world.grants
            heals += world.heals
            abandoned += world.abandonedInFlight
        }
        print(
            """
            token machine, seed \(seed): \(Self.rounds) interleavings, \(grants) grants, \(heals) times mended, \
            \(abandoned) waits given up in flight
            """)
        // A test that hardly grants, or hardly interrupts a grant, would show nothing.
        #expect(grants > Self.rounds)
        #expect(abandoned > 100)
        #expect(faults.isDisjoint(with: [.purges, .hastyHealing]) || heals > 100)
    }

    /// Each sentence of the protocol, broken: the same test finds a counterexample.
    @Test(arguments: TokenWorld.Mutant.allCases) func aBrokenSentenceIsFound(_ mutant: TokenWorld.Mutant) {
        MutantSearch(for: mutant).run { seed in
            var world = TokenWorld(seed: seed, clients: 3, faults: mutant.faults, mutant: mutant)
            do { try world.run(steps: 400) } catch { return error }
            return nil
        }
    }
}

import Foundation
import Testing

@testable import MQLockRabbitMQ

/// The state machine of the token mutex, against a simulated broker, over generated interleavings. Set MQLOCK_SEED to
/// the seed that a failure names to see it again.
@Suite(.inBackground, .serialized) struct TokenInterleavingTests {
    @Test(arguments: [
        (TokenWorld.Faults(), 2), (TokenWorld.Faults.disconnects, 3), (TokenWorld.Faults.all, 3),
    ])
    func neverTwoHoldersAndNeverALostLock(faults: TokenWorld.Faults, clients: Int) throws {
        let seed = TestSeed.next()
        var grants = 0
        var abandoned = 0
        for round in 0..<4_000 {
            var world = TokenWorld(seed: seed &+ UInt64(round), clients: clients, faults: faults)
            do {
                try world.run(steps: 120)
            } catch {
                Issue.record("MQLOCK_SEED=\(seed &+ UInt64(round)): \(error)")
                return
            }
            grants += world.grants
            abandoned += world.abandonedInFlight
        }
        print(
            "token machine, seed \(seed): 4000 interleavings, \(grants) grants, \(abandoned) waits given up in flight")
        // A test that hardly grants, or hardly interrupts a grant, would show nothing.
        #expect(grants > 4_000)
        #expect(abandoned > 100)
    }

    /// On classic queues: whatever is lost, cut or taken back by a crash of the broker, tokens grow.
    @Test(
        arguments: [
            ([], 2), (.disconnects, 3), ([.crashes], 2), ([.disconnects, .lostPublishes, .crashes], 3),
            ([.all, .crashes], 3),
        ] as [(TokenWorld.Faults, Int)])
    func classicQueuesToo(faults: TokenWorld.Faults, clients: Int) {
        let seed = TestSeed.next()
        var (grants, mints, crashes, abandoned) = (0, 0, 0, 0)
        for round in 0..<UInt64(4_000) {
            var world = TokenWorld(seed: seed &+ round, clients: clients, faults: faults, durability: .fast)
            do {
                try world.run(steps: 160)
            } catch {
                Issue.record("MQLOCK_SEED=\(seed &+ round): \(error)")
                return
            }
            grants += world.grants
            mints += world.mints
            crashes += world.crashes
            abandoned += world.abandonedInFlight
        }
        print(
            """
            token machine on classic queues, seed \(seed): 4000 interleavings, \(grants) grants, \(mints) tokens minted \
            anew, \(crashes) crashes of the broker, \(abandoned) waits given up in flight
            """)
        #expect(grants > 4_000)
        #expect(abandoned > 100)
        #expect(faults.isEmpty == (mints == 0), "what comes back by itself is minted anew, and nothing else")
    }

    /// Each sentence about classic queues, broken: the same test finds a counterexample.
    @Test(arguments: TokenMachine.Mutant.allCases) func aBrokenSentenceIsFound(_ mutant: TokenMachine.Mutant) {
        find("\(mutant)") { TokenWorld(seed: $0, clients: $1, faults: $2, durability: .fast, machine: mutant) }
    }

    @Test func mintingAboveTheOldNumberOnlyIsFound() {
        find("mints below the clock") {
            TokenWorld(seed: $0, clients: $1, faults: $2, durability: .fast, mintsBelowTheClock: true)
        }
    }

    private func find(_ mutant: String, _ world: (UInt64, Int, TokenWorld.Faults) -> TokenWorld) {
        let seed = TestSeed.next()
        for round in 0..<UInt64(8_000) {
            for (faults, clients): (TokenWorld.Faults, Int) in [
                ([.disconnects, .lostPublishes, .crashes], 3), ([.crashes], 2),
            ] {
                var world = world(seed &+ round, clients, faults)
                do {
                    try world.run(steps: 400)
                } catch {
                    print("\(mutant): \(error), in interleaving \(round) of seed \(seed)")
                    return
                }
            }
        }
        Issue.record("MQLOCK_SEED=\(seed): 8000 interleavings did not find the mutant \(mutant)")
    }

    /// The same test finds the leak when a late delivery is kept instead of put back.
    @Test func aMissingPutBackIsFound() {
        let seed = TestSeed.next()
        for round in 0..<4_000 {
            var world = TokenWorld(seed: seed &+ UInt64(round), clients: 2, faults: [], mutant: true)
            do { try world.run(steps: 120) } catch { return }
        }
        Issue.record("MQLOCK_SEED=\(seed): 4000 interleavings did not find the mutant")
    }
}

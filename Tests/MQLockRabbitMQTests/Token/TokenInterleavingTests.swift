import Foundation
import Testing

@testable import MQLockRabbitMQ

/// The state machine of the token mutex, against a simulated broker, over generated interleavings. Set MQLOCK_SEED to
/// the seed that a failure names to see it again.
@Suite struct TokenInterleavingTests {
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

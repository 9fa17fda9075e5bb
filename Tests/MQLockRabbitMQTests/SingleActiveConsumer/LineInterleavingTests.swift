import Testing

@testable import MQLockRabbitMQ

/// The machine of the line, against a simulated broker, over generated interleavings. Set MQLOCK_SEED to the seed that a
/// failure names to see it again.
@Suite(.inBackground, .serialized) struct LineInterleavingTests {
    private static let rounds = 10_000

    @Test(
        arguments: [
            ([], 3), (.latePublishes, 3), ([.latePublishes, .alarms], 2), ([.disconnects, .latePublishes], 3),
            ([.deletions, .purges, .latePublishes], 3), ([.cuts, .latePublishes], 3), (.all, 3),
        ] as [(LineWorld.Faults, Int)])
    func fencesRiseAndTheLockIsNeverLost(faults: LineWorld.Faults, clients: Int) {
        let seed = TestSeed.next()
        var (grants, proofs, exchanges, raises, abandoned, local) = (0, 0, 0, 0, 0, 0)
        for round in 0..<UInt64(Self.rounds) {
            let world = LineWorld(seed: seed &+ round, clients: clients, faults: faults)
            do {
                try world.run(steps: 160)
            } catch {
                Issue.record("MQLOCK_SEED=\(seed &+ round): \(error)")
                return
            }
            grants += world.grants
            proofs += world.proofs
            exchanges += world.exchanges
            raises += world.raises
            abandoned += world.abandonedInFlight
            local += world.localGrants
        }
        print(
            """
            line, seed \(seed): \(Self.rounds) interleavings, \(grants) grants, \(proofs) proofs, \(exchanges) exchanges, \
            \(raises) numbers raised, \(abandoned) waits given up in flight, \(local) local grants
            """)
        // A test that hardly grants, renews or interrupts would show nothing.
        #expect(grants > Self.rounds)
        #expect(proofs > Self.rounds / 2)
        #expect(exchanges > Self.rounds / 10)
        #expect(raises > 100)
        #expect(abandoned > 100)
        #expect(local > 100)
    }

    /// Each sentence of the protocol that is marked †, broken: the same test finds a counterexample.
    @Test(arguments: LineMutant.allCases) func aBrokenSentenceIsFound(_ mutant: LineMutant) {
        MutantSearch(for: mutant, known: mutant.knownSeed).run { seed in
            let world = LineWorld(seed: seed, clients: 3, faults: mutant.faults, mutant: mutant)
            do {
                try world.run(steps: 400)
            } catch let violation as LineWorld.Violation where violation.kind == mutant.finding {
                return violation
            } catch {}
            return nil
        }
    }
}

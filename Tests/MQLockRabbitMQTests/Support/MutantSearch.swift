import Testing

/// The seeds in which a mutant is looked for: first one that found it once, where few do, then new ones.
///
/// A change of the world makes a known seed worthless, and the search long. The test prints a seed to put in its place.
struct MutantSearch {
    /// The rarest is found once in 10,000 interleavings.
    private static let rounds: UInt64 = 200_000
    /// Found after more than so many, it gets a known seed.
    private static let few: UInt64 = 2000

    private let mutant: String
    private let known: UInt64?

    init(for mutant: some Any, known: UInt64? = nil) {
        self.mutant = "\(mutant)"
        self.known = known
    }

    /// - Parameter violation: runs the interleaving of the seed, and returns what it violated.
    func run(_ violation: (UInt64) -> (any Error)?) {
        let seed = TestSeed.next()
        var tried: UInt64 = 0
        for (first, count) in (known.map { [($0, 1 as UInt64)] } ?? []) + [(seed, Self.rounds)] {
            for round in 0..<count {
                if let violation = violation(first &+ round) {
                    print("\(mutant): \(violation), after \(tried) interleavings, seed \(first &+ round)")
                    if tried > Self.few { print("\(mutant): keep that seed as its known one") }
                    return
                }
                tried += 1
            }
        }
        Issue.record("MQLOCK_SEED=\(seed): \(tried) interleavings did not find the mutant \(mutant)")
    }
}

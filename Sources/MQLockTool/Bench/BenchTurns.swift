/// The turns of several contenders with one lock, in instants that all processes share.
struct BenchTurns {
    struct Turn: Equatable {
        /// A process, or a task.
        var contender: Int
        /// When the lock was granted, and just before it was released, in nanoseconds.
        var granted: UInt64
        var released: UInt64
    }

    private let turns: [Turn]

    init(_ turns: [Turn]) { self.turns = turns.sorted { $0.granted < $1.granted } }

    var count: Int { turns.count }

    private var pairs: Zip2Sequence<[Turn], ArraySlice<Turn>> { zip(turns, turns.dropFirst()) }

    /// How often one contender was granted the lock while another held it.
    var overlaps: Int { pairs.count { $1.granted < $0.released } }

    /// From each release to the grant of another contender.
    var handOvers: [UInt64] {
        pairs.filter { $0.contender != $1.contender && $1.granted >= $0.released }.map { $1.granted - $0.released }
    }

    /// Hand-overs to another contender in a second, while all of them took part.
    var handOversPerSecond: Double? {
        guard let first = turns.first?.granted, let end, end > first else { return nil }
        let count = pairs.count { $0.contender != $1.contender && $1.granted <= end }
        return Double(count) * 1e9 / Double(end - first)
    }

    /// How long a contender that wants the lock again as soon as it has released it waited for each grant but its first, while
    /// all took part.
    func waits(of contender: Int) -> [UInt64] {
        guard let end else { return [] }
        let own = turns.filter { $0.contender == contender && $0.granted <= end }
        return zip(own, own.dropFirst()).filter { $1.granted >= $0.released }.map { $1.granted - $0.released }
    }

    /// Which part of the grants was this contender's, while all took part; nil if there were none.
    func share(of contender: Int) -> Double? {
        guard let end else { return nil }
        let all = turns.prefix { $0.granted <= end }
        return Double(all.count { $0.contender == contender }) / Double(all.count)
    }

    /// How evenly the lock was granted, while all took part.
    var fairness: BenchFairness? {
        guard let end else { return nil }
        return BenchFairness(
            of: turns.prefix { $0.granted <= end }.map(\.contender), among: Set(turns.map(\.contender)))
    }

    /// When the first contender was granted its last turn: from then on fewer take part.
    private var end: UInt64? {
        Dictionary(grouping: turns, by: \.contender).values.compactMap { $0.map(\.granted).max() }.min()
    }
}

/// How evenly a lock was granted to contenders that all wanted it all the time.
struct BenchFairness: Equatable {
    /// The most grants to others between two grants of a contender, or before its first one.
    let longestWait: Int
    /// Jain's index of the numbers of grants: 1 if each had as many, 1/n if one had all.
    let jainIndex: Double

    /// - Parameters:
    ///   - grants: who was granted the lock, in order.
    ///   - contenders: all who wanted it.
    /// - Returns: nil if nobody was granted it.
    init?(of grants: [Int], among contenders: Set<Int>) {
        guard !grants.isEmpty else { return nil }
        var (last, longest, sum, squares) = ([Int: Int](), 0, 0.0, 0.0)
        for (index, contender) in grants.enumerated() {
            longest = max(longest, index - (last[contender] ?? -1) - 1)
            last[contender] = index
        }
        for contender in contenders {
            let count = Double(grants.count { $0 == contender })
            sum += count
            squares += count * count
            if count == 0 { longest = max(longest, grants.count) }
        }
        longestWait = longest
        jainIndex = sum * sum / (Double(contenders.count) * squares)
    }

    /// Of several rounds: the longest wait of all, and the mean of the indexes.
    /// - Returns: nil for none.
    init?(ofAll rounds: [BenchFairness]) {
        guard let longest = rounds.map(\.longestWait).max() else { return nil }
        longestWait = longest
        jainIndex = rounds.reduce(0) { $0 + $1.jainIndex } / Double(rounds.count)
    }
}

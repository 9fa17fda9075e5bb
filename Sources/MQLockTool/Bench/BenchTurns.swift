/// The turns of several processes with one lock, in instants that all processes share.
struct BenchTurns {
    struct Turn: Equatable {
        var process: Int
        /// When the lock was granted, and just before it was released, in nanoseconds.
        var granted: UInt64
        var released: UInt64
    }

    private let turns: [Turn]

    init(_ turns: [Turn]) { self.turns = turns.sorted { $0.granted < $1.granted } }

    private var pairs: Zip2Sequence<[Turn], ArraySlice<Turn>> { zip(turns, turns.dropFirst()) }

    /// How often one process was granted the lock while another held it.
    var overlaps: Int { pairs.count { $1.granted < $0.released } }

    /// From each release to the grant of another process.
    var handOvers: [UInt64] {
        pairs.filter { $0.process != $1.process && $1.granted >= $0.released }.map { $1.granted - $0.released }
    }

    /// Hand-overs to another process in a second, while all of them took part.
    var handOversPerSecond: Double? {
        let lasts = Dictionary(grouping: turns, by: \.process).values.compactMap { $0.map(\.granted).max() }
        guard let first = turns.first?.granted, let end = lasts.min(), end > first else { return nil }
        let count = pairs.count { $0.process != $1.process && $1.granted <= end }
        return Double(count) * 1e9 / Double(end - first)
    }
}

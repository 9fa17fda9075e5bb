/// Measured durations in nanoseconds.
struct BenchSample: Equatable {
    private(set) var durations: [UInt64] = []

    mutating func add(_ durations: some Sequence<UInt64>) { self.durations += durations }

    /// Grants a second, one after the other; nil for no grants. In floating point, because another program can send any
    /// number.
    var perSecond: Double? {
        durations.isEmpty ? nil : Double(durations.count) * 1e9 / durations.reduce(0) { $0 + Double($1) }
    }

    /// The smallest duration that this share of all does not exceed, in microseconds; nil for no durations.
    func percentile(_ share: Double) -> Double? {
        let sorted = durations.sorted()
        guard !sorted.isEmpty else { return nil }
        let rank = Int((Double(sorted.count) * share).rounded(.up))
        return Double(sorted[min(max(rank, 1), sorted.count) - 1]) / 1000
    }
}

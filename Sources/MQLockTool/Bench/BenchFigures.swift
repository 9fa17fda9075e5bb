import Foundation

/// Measured durations in nanoseconds, and the figures made from them.
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

/// The reported figures of one program in one measurement. Times in microseconds.
struct BenchFigures: Codable, Equatable {
    var count: Int
    var p50: Double
    var p90: Double
    var p99: Double
    /// Grants a second, one after the other.
    var perSecond: Double?

    /// - Returns: nil when nothing was measured.
    init?(_ sample: BenchSample, perSecond: Double? = nil) {
        guard let p50 = sample.percentile(0.5), let p90 = sample.percentile(0.9), let p99 = sample.percentile(0.99)
        else { return nil }
        count = sample.durations.count
        (self.p50, self.p90, self.p99) = (p50.rounded(to: 1), p90.rounded(to: 1), p99.rounded(to: 1))
        self.perSecond = perSecond?.rounded(to: 1)
    }
}

/// One row of the results: a mutex in one situation, beside the other program.
struct BenchResult: Codable, Equatable {
    enum Measure: String, Codable, CaseIterable {
        /// Acquire and release, without other contenders.
        case uncontended
        /// From just before the release to the next process's grant.
        case handOver = "hand-over"
        /// From the SIGKILL of the holder to the next process's grant.
        case recovery
    }

    /// Our figure divided by the other program's: for times smaller is better, for `perSecond` larger.
    struct Ratio: Codable, Equatable {
        var p50, p90, p99: Double
        var perSecond: Double?
    }

    var mutex: String
    var measure: Measure
    var processes: Int
    var mqlock: BenchFigures
    /// The other program's; nil when there is none.
    var raw: BenchFigures?
    var ratio: Ratio?

    init(mutex: String, measure: Measure, processes: Int, mqlock: BenchFigures, raw: BenchFigures?) {
        (self.mutex, self.measure, self.processes) = (mutex, measure, processes)
        (self.mqlock, self.raw) = (mqlock, raw)
        ratio = raw.map { raw in
            var perSecond: Double?
            // If each process had all its turns before the next one began, nothing was handed over.
            if let ours = mqlock.perSecond, let theirs = raw.perSecond, theirs > 0 {
                perSecond = (ours / theirs).rounded(to: 3)
            }
            return Ratio(
                p50: (mqlock.p50 / raw.p50).rounded(to: 3), p90: (mqlock.p90 / raw.p90).rounded(to: 3),
                p99: (mqlock.p99 / raw.p99).rounded(to: 3), perSecond: perSecond)
        }
    }
}

extension Double {
    /// Rounded to this many digits after the decimal point: more would be noise.
    fileprivate func rounded(to digits: Int) -> Double {
        let scale = pow(10, Double(digits))
        return (self * scale).rounded() / scale
    }
}

/// Durations, and what is said of them.
struct Sample {
    private(set) var durations: [Duration] = []

    mutating func add(_ duration: Duration) { durations.append(duration) }

    mutating func merge(_ other: Sample) { durations += other.durations }

    mutating func time(_ body: () throws -> Void) rethrows {
        let start = ContinuousClock.now
        try body()
        durations.append(start.duration(to: .now))
    }

    mutating func time(_ body: () async throws -> Void) async rethrows {
        let start = ContinuousClock.now
        try await body()
        durations.append(start.duration(to: .now))
    }

    func percentile(_ share: Double) -> Double {
        let sorted = durations.sorted()
        guard !sorted.isEmpty else { return .nan }
        let duration = sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        return Double(duration.components.attoseconds) / 1e12 + Double(duration.components.seconds) * 1e6
    }

    static func report(_ title: String, raw: Sample, ours: Sample) {
        print("\(title), \(raw.durations.count) raw and \(ours.durations.count) MQLock")
        for (label, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
            let (limit, value) = (raw.percentile(share), ours.percentile(share))
            let ratio = (value / limit * 100).rounded() / 100
            print("  \(label)  raw \(Int(limit)) µs  MQLock \(Int(value)) µs  ratio \(ratio)")
        }
    }
}

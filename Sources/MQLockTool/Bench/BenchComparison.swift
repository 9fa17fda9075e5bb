/// A result beside that of an earlier run in the same situation.
struct BenchComparison: Equatable {
    /// What is divided by what it was.
    enum Basis: String, Codable {
        /// The ratio to the other program in the same run, which both runs have: the machine's speed cancels out.
        case raw
        /// Our own figures.
        case figures
    }

    let result: BenchResult
    let basis: Basis
    /// Now to then.
    let ratio: BenchResult.Ratio

    /// By how much more than then something counts as worse: less is noise.
    static let tolerance = 1.25

    /// - Returns: nil when nothing can be divided.
    init?(_ result: BenchResult, to earlier: BenchResult) {
        let ratio: BenchResult.Ratio?
        if let now = result.ratio, let then = earlier.ratio {
            (basis, ratio) = (.raw, .init(now, to: then))
        } else {
            (basis, ratio) = (.figures, .init(result.mqlock, to: earlier.mqlock))
        }
        guard let ratio else { return nil }
        (self.result, self.ratio) = (result, ratio)
    }

    /// The 99th percentile does not count: in a run of usual length it is one or two grants.
    var isWorse: Bool {
        ratio.p50 > Self.tolerance || ratio.p90 > Self.tolerance
            || ratio.perSecond.map { $0 < 1 / Self.tolerance } ?? false
    }

    /// Each result with an earlier one in the same situation.
    static func all(_ results: [BenchResult], to earlier: [BenchResult]) -> [Self] {
        results.compactMap { result in
            earlier.last { result.isSameSituation(as: $0) }.flatMap { Self(result, to: $0) }
        }
    }
}

extension BenchResult {
    fileprivate func isSameSituation(as other: BenchResult) -> Bool {
        (mutex, measure.rawValue, processes, tasks ?? 1)
            == (other.mutex, other.measure.rawValue, other.processes, other.tasks ?? 1)
    }
}

extension BenchComparison: Encodable {
    private enum Key: CodingKey { case mutex, measure, processes, tasks, basis, ratio, isWorse }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(result.mutex, forKey: .mutex)
        try container.encode(result.measure, forKey: .measure)
        try container.encode(result.processes, forKey: .processes)
        try container.encodeIfPresent(result.tasks, forKey: .tasks)
        try container.encode(basis, forKey: .basis)
        try container.encode(ratio, forKey: .ratio)
        try container.encode(isWorse, forKey: .isWorse)
    }
}

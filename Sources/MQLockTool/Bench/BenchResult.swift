import Foundation

/// What is divided by its like: figures, and ratios of them.
protocol BenchDivisible {
    var p50: Double { get }
    var p90: Double { get }
    var p99: Double { get }
    var perSecond: Double? { get }
}

/// The reported figures of one program in one measurement. Times in microseconds.
struct BenchFigures: Codable, Equatable, BenchDivisible {
    var count: Int
    var p50: Double
    var p90: Double
    var p99: Double
    /// Grants a second, one after the other.
    var perSecond: Double?
    /// How many grants to others a contender waited for its own, at most.
    var longestWait: Int?
    /// Jain's index of the contenders' grants: 1 if each had as many, 1/n if one had all.
    var jainIndex: Double?
    /// Which part of the grants was the contender's whose wait was measured.
    var share: Double?
    /// The processor time of the contenders for each grant, without the broker's.
    var cpuPerGrant: Double?
    /// How much memory a contender needs for each held lock.
    var bytesPerLock: Double?

    /// - Returns: nil when nothing was measured.
    init?(_ sample: BenchSample, perSecond: Double? = nil) {
        guard let p50 = sample.percentile(0.5), let p90 = sample.percentile(0.9), let p99 = sample.percentile(0.99)
        else { return nil }
        count = sample.durations.count
        (self.p50, self.p90, self.p99) = (p50.rounded(to: 1), p90.rounded(to: 1), p99.rounded(to: 1))
        self.perSecond = perSecond?.rounded(to: 1)
    }

    mutating func add(_ fairness: BenchFairness?) {
        longestWait = fairness?.longestWait
        jainIndex = fairness?.jainIndex.rounded(to: 3)
    }

    mutating func add(cpuPerGrant: Double?) { self.cpuPerGrant = cpuPerGrant?.rounded(to: 1) }
}

/// One row of the results: a mutex in one situation, beside the other program.
struct BenchResult: Codable, Equatable {
    enum Measure: String, Codable, CaseIterable {
        /// Acquire and release, without other contenders.
        case uncontended
        /// From just before the release to the next process's grant.
        case handOver = "hand-over"
        /// From just before the release to the grant of the next task of the same process.
        case tasks
        /// From the call of a process with one task to its grant, beside a process with many tasks.
        case beside
        /// The acquire of a name that the broker does not know.
        case newName = "new-name"
        /// The acquire of a name that the broker knows, and the session does not.
        case knownName = "known-name"
        /// From the start of a process to its grant.
        case newProcess = "new-process"
        /// From the cut of a holder's connections until the holder is notified.
        case loss
        /// From the SIGKILL of the holder to the next process's grant.
        case recovery
    }

    /// One divided by the other, such as our figures by the other program's: for times smaller is better, for `perSecond`
    /// larger.
    struct Ratio: Codable, Equatable, BenchDivisible {
        var p50, p90, p99: Double
        var perSecond: Double?

        /// - Returns: nil when the other took no time.
        init?(_ ours: some BenchDivisible, to theirs: some BenchDivisible) {
            guard theirs.p50 > 0, theirs.p90 > 0, theirs.p99 > 0 else { return nil }
            p50 = (ours.p50 / theirs.p50).rounded(to: 3)
            p90 = (ours.p90 / theirs.p90).rounded(to: 3)
            p99 = (ours.p99 / theirs.p99).rounded(to: 3)
            // If each process had all its turns before the next one began, nothing was handed over.
            if let our = ours.perSecond, let their = theirs.perSecond, their > 0 {
                perSecond = (our / their).rounded(to: 3)
            }
        }
    }

    var mutex: String
    var measure: Measure
    var processes: Int
    /// How many tasks of each process contend, or of the one with most; nil for one.
    var tasks: Int?
    var mqlock: BenchFigures
    /// The other program's; nil when there is none.
    var raw: BenchFigures?
    var ratio: Ratio?

    init(
        mutex: String, measure: Measure, processes: Int, tasks: Int? = nil, mqlock: BenchFigures, raw: BenchFigures?
    ) {
        (self.mutex, self.measure, self.processes, self.tasks) = (mutex, measure, processes, tasks)
        (self.mqlock, self.raw) = (mqlock, raw)
        ratio = raw.flatMap { Ratio(mqlock, to: $0) }
    }

    /// What was measured, in words.
    var title: String {
        switch measure {
        case .uncontended: "acquire + release, uncontended"
        case .handOver: "hand-over, \(processes) processes"
        case .tasks: "hand-over, \(tasks ?? 1) tasks of one process"
        case .beside: "wait, beside \(tasks ?? 1) tasks of a process"
        case .newName: "acquire, new name"
        case .knownName: "acquire, name known to the broker only"
        case .newProcess: "acquire, new process"
        case .loss: "cut connection to notice of the loss"
        case .recovery: "recovery after SIGKILL of the holder"
        }
    }
}

extension Double {
    /// Rounded to this many digits after the decimal point: more would be noise.
    func rounded(to digits: Int) -> Double {
        let scale = pow(10, Double(digits))
        return (self * scale).rounded() / scale
    }
}

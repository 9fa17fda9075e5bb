public import MQLock

/// What a leader election promises, as tests that run over any `Election`. It imports no test framework: run it from
/// one test and fail unless the report ``ElectionReport/hasPassed``.
public struct ElectionSuite<Candidate: Election>: Sendable {
    typealias Body = @Sendable (ElectionBench<Candidate>) async throws -> Void

    struct Check {
        let title: String
        let body: Body

        init(_ title: String, _ body: @escaping Body) { (self.title, self.body) = (title, body) }
    }

    let subject: ElectionSubject<Candidate>

    /// A suite for the subject's candidates.
    public init(_ subject: ElectionSubject<Candidate>) { self.subject = subject }

    /// What is checked.
    public var titles: Set<String> { Set(checks.map(\.title)) }

    private var checks: [Check] { electionChecks + endChecks + blockingChecks + lossChecks }

    /// Runs the checks, one after the other, each with candidates of its own.
    /// - Parameter titles: which ones; `nil` runs all.
    public func run(_ titles: Set<String>? = nil) async -> ElectionReport {
        var report = ElectionReport()
        for check in checks where titles?.contains(check.title) ?? true {
            let start = ContinuousClock.now
            let outcome: ConformanceReport.Outcome
            var gaps: [Duration] = []
            do {
                let bench = ElectionBench(subject, name: try await subject.makeName())
                do {
                    try await check.body(bench)
                    try bench.stage.check()
                    outcome = .passed
                } catch let error as NotTried {
                    outcome = .leftOut(error.reason)
                } catch {
                    outcome = .failed("\(error)\(bench.stage.story)")
                }
                gaps = bench.stage.gaps
                await bench.close()
            } catch {
                outcome = .failed("\(error)")
            }
            report.entries.append(
                .init(check: check.title, outcome: outcome, took: start.duration(to: .now), gaps: gaps))
        }
        return report
    }
}

/// What the election suite found.
public struct ElectionReport: Sendable, CustomStringConvertible {
    /// One check.
    public struct Entry: Sendable {
        /// What was checked.
        public let check: String
        /// The result.
        public let outcome: ConformanceReport.Outcome
        /// How long it took.
        public let took: Duration
        /// The times between the end of one leader's body and the beginning of the next one's, in order; negative where
        /// they overlapped.
        public let gaps: [Duration]
    }

    /// The checks in the order in which they ran.
    public internal(set) var entries: [Entry] = []

    /// Whether nothing failed.
    public var hasPassed: Bool {
        entries.allSatisfy { if case .failed = $0.outcome { false } else { true } }
    }

    /// A line per check.
    public var description: String {
        entries.map { entry in
            let outcome =
                switch entry.outcome {
                case .passed: "passed"
                case .failed(let why): "FAILED \(why)"
                case .leftOut(let why): "left out: \(why)"
                }
            let gaps = entry.gaps.isEmpty ? "" : "; gaps \(entry.gaps.map(\.readable).joined(separator: ", "))"
            return "\(entry.check): \(outcome), \(entry.took.readable)\(gaps)"
        }.joined(separator: "\n")
    }
}

import MQLock

/// One of the rules of the lock protocol that every adapter keeps.
public enum ConformanceRule: Int, CaseIterable, Sendable, Hashable, CustomStringConvertible {
    /// Two valid leases of one name never overlap.
    case exclusion = 1
    /// Tokens strictly increase.
    case tokens
    /// A loss is reported by cancellation, by the states and by `isValid`, with a reason.
    case lossIsReported
    /// Validity ends by the local clock, before the broker hands the lock to someone else.
    case localFirst
    /// Cancelled and timed-out waits leave the lock free.
    case cancellationLeaksNothing
    /// Waiters survive a lost session, holders do not.
    case waitersSurvive
    /// Release affects only one's own hold, once.
    case ownedRelease
    /// A request without an answer ends the session.
    case ambiguityIsSettled
    /// The contenders of one process are served first come, first served.
    case localArbitration
    /// A release wakes the next waiter; no one polls.
    case noPolling
    /// Limits give clear errors, and a thousand names share a session.
    case bounds
    /// Objects of another kind are refused.
    case oneMutexPerName

    /// Number and title.
    public var description: String {
        let title =
            switch self {
            case .exclusion: "exclusion"
            case .tokens: "tokens"
            case .lossIsReported: "loss is reported"
            case .localFirst: "local first"
            case .cancellationLeaksNothing: "cancellation leaks nothing"
            case .waitersSurvive: "waiters survive"
            case .ownedRelease: "release is owner-checked"
            case .ambiguityIsSettled: "ambiguity is settled"
            case .localArbitration: "local arbitration"
            case .noPolling: "no polling"
            case .bounds: "bounded everything"
            case .oneMutexPerName: "one name, one mutex"
            }
        return "\(rawValue) \(title)"
    }
}

/// What the conformance suite found.
public struct ConformanceReport: Sendable, CustomStringConvertible {
    /// The result of a rule, or of a part of it.
    public enum Outcome: Sendable, Hashable {
        /// The rule holds as far as it was tried.
        case passed
        /// The rule is broken.
        case failed(String)
        /// Not tried: the capabilities exclude it, or the environment cannot break what has to be broken.
        case leftOut(String)
    }

    /// One check.
    public struct Entry: Sendable, Hashable {
        /// The rule that it belongs to.
        public let rule: ConformanceRule
        /// What was checked.
        public let check: String
        /// The result.
        public let outcome: Outcome
        /// How long it took; zero when it was skipped at once.
        public let took: Duration
    }

    /// The name of the mutex, from the provider's capabilities.
    public let mutex: String
    /// The checks in the order in which they ran.
    public let entries: [Entry]

    /// A report of checks, for example of several partial runs.
    package init(mutex: String, entries: [Entry]) {
        self.mutex = mutex
        self.entries = entries
    }

    /// Whether nothing failed.
    public var hasPassed: Bool { failures.isEmpty }

    /// The checks that failed.
    public var failures: [Entry] {
        entries.filter { if case .failed = $0.outcome { true } else { false } }
    }

    /// The rules that have a failed check.
    public var failedRules: Set<ConformanceRule> { Set(failures.map(\.rule)) }

    /// A table with one line per check.
    public var description: String {
        let width = entries.map { "\($0.rule): \($0.check)".count }.max() ?? 0
        let lines = entries.map { entry in
            let label = "\(entry.rule): \(entry.check)"
            let padding = String(repeating: " ", count: width - label.count)
            let took = entry.took.readable
            let alignment = String(repeating: " ", count: max(0, 8 - took.count))
            let outcome =
                switch entry.outcome {
                case .passed: "passed"
                case .failed(let why): "FAILED    \(why)"
                case .leftOut(let why): "left out  \(why)"
                }
            return "\(label)\(padding)\(alignment)  \(took)  \(outcome)"
        }
        return (["conformance of \(mutex)"] + lines).joined(separator: "\n")
    }
}

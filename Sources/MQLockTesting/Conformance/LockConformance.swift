public import MQLock

/// The rules of the lock protocol as tests that run over any provider.
///
/// It imports no test framework: run it from one test and fail unless the report ``ConformanceReport/hasPassed``.
/// Nothing in it sleeps to be on the safe side; time limits are only for hangs.
public struct LockConformance<Provider: LockProvider>: Sendable {
    /// How much is tried.
    public struct Effort: Sendable {
        /// Holds of each contender in the exclusion check.
        public var rounds = 10
        /// Interleavings of cancellation and grant.
        public var interleavings = 100
        /// Names held at once over one provider.
        public var names = 1000
        /// Locks that have to be lost before several locks have been tried while sessions end.
        package var losses = 5
        /// Entities in the check of striped locks.
        package var entities = 10_000
        /// Makes the interleavings; shown in a failure's message, so a run can be repeated with it.
        public var seed: UInt64 = 1

        /// The usual effort.
        public init() {}
    }

    let subject: ConformanceSubject<Provider>
    let effort: Effort

    /// A suite for the subject's providers.
    public init(_ subject: ConformanceSubject<Provider>, effort: Effort = Effort()) {
        self.subject = subject
        self.effort = effort
    }

    typealias Body = @Sendable (Bench<Provider>) async throws -> Void

    struct Check {
        let rule: ConformanceRule
        let title: String
        let waits: Bool
        let body: Body

        /// - Parameter waits: whether a contender has to wait for a holder in another process.
        init(_ rule: ConformanceRule, _ title: String, waits: Bool = true, _ body: @escaping Body) {
            self.rule = rule
            self.title = title
            self.waits = waits
            self.body = body
        }
    }

    /// Runs the checks of `rules`, one after the other, each with providers of its own.
    public func run(_ rules: Set<ConformanceRule> = Set(ConformanceRule.allCases)) async -> ConformanceReport {
        await run(checks.filter { rules.contains($0.rule) })
    }

    /// Runs the checks of the locks that are composed of a provider's locks.
    /// - Parameter titles: which ones; `nil` runs all.
    package func runComposed(_ titles: Set<String>? = nil) async -> ConformanceReport {
        let checks = multiLockChecks + multiLockFaultChecks + reentrantChecks + stripedChecks
        return await run(checks.filter { titles?.contains($0.title) ?? true })
    }

    private func run(_ checks: [Check]) async -> ConformanceReport {
        var entries: [ConformanceReport.Entry] = []
        var capabilities: LockCapabilities?
        for check in checks {
            let bench = Bench(subject)
            let start = ContinuousClock.now
            let outcome: ConformanceReport.Outcome
            do {
                if capabilities == nil { capabilities = try await bench.seat().provider.capabilities }
                if check.waits, capabilities?.waitsAcrossProcesses == false {
                    throw NotTried("by its capabilities it does not wait for a holder in another process")
                }
                try await check.body(bench)
                outcome = .passed
            } catch let error as NotTried {
                outcome = .leftOut(error.reason)
            } catch {
                outcome = .failed(String(describing: error))
            }
            await bench.close()
            entries.append(
                .init(rule: check.rule, check: check.title, outcome: outcome, took: start.duration(to: .now)))
        }
        return ConformanceReport(mutex: capabilities?.mutex ?? "unknown", entries: entries)
    }

    private var checks: [Check] {
        exclusionChecks + tokenChecks + lossChecks + blockingChecks + proofChecks + cancellationChecks + survivalChecks
            + releaseChecks
            + ambiguityChecks + arbitrationChecks + pollingChecks + boundChecks + kindChecks
    }
}

import MQLock

/// Judges a history: whether any two holders of a name overlapped, tokens went back, stale writes got through, or a
/// lock with waiters stayed free.
///
/// A pure function of the events. It reports what cannot have happened with a correct lock service. What it cannot know
/// (the true instant of a kill, the order of two grants in one nanosecond) it decides in favor of the service, and says
/// so in ``Verdict/remarks``.
public struct HistoryChecker: Sendable {
    /// How long a lock may stay free while a contender waits for it and the broker serves; `nil` does not judge that.
    ///
    /// It has to allow for the time in which the broker notices a dead holder, or a dead or stopped process whose turn
    /// it was.
    public var maximumFree: Duration?
    /// By how much two intervals may overlap before it counts: zero, unless the events come from different clocks.
    public var tolerance: Duration

    /// Makes a checker.
    public init(maximumFree: Duration? = nil, tolerance: Duration = .zero) {
        self.maximumFree = maximumFree
        self.tolerance = tolerance
    }

    /// Judges the events, given in any order.
    ///
    /// A hold is valid from its grant to the `validUntil` of its end; to the death of its process, or the instant at
    /// which the process was stopped when it was killed while stopped; and without limit when none of these is recorded.
    public func check(_ events: some Sequence<History.Event>) -> Verdict {
        let ordered = HistoryLedger.ordered(events)
        let ledger = HistoryLedger(ordered)
        var verdict = Verdict(startedAt: ordered.first?.at ?? 0, endedAt: ordered.last?.at ?? 0)
        verdict.violations = ledger.malformed
        verdict.remarks = ledger.remarks
        for name in ledger.holds.keys.sorted() {
            guard let holds = ledger.holds[name] else { continue }
            checkOverlap(holds, &verdict)
            checkTokens(holds, &verdict)
        }
        checkWrites(ordered, ledger, &verdict)
        if let maximumFree { checkFree(ledger, bound: UInt64(clamping: maximumFree.nanoseconds), &verdict) }
        verdict.violations.sort { $0.at < $1.at }
        verdict.statistics = Verdict.Statistics(ordered, ledger)
        return verdict
    }
}

// MARK: Grants

extension HistoryChecker {
    /// (a) Validity intervals of one name.
    private func checkOverlap(_ holds: [HistoryLedger.Hold], _ verdict: inout Verdict) {
        let tolerance = UInt64(clamping: self.tolerance.nanoseconds)
        var longest: HistoryLedger.Hold?
        for hold in holds {
            if let before = longest, before.validUntil > hold.grantedAt, hold.validUntil > hold.grantedAt {
                let common = min(before.validUntil, hold.validUntil) - hold.grantedAt
                if common > tolerance {
                    let time = common > .max / 2 ? "to the end" : "for \(Duration.nanoseconds(Int64(common)).readable)"
                    verdict.add(
                        .overlap, hold.name, hold.grantedAt, "granted to \(hold.who) while \(before.who) held, \(time)")
                }
            }
            if hold.validUntil > longest?.validUntil ?? 0 { longest = hold }
        }
    }

    /// (b) Tokens in the order of the grants.
    private func checkTokens(_ holds: [HistoryLedger.Hold], _ verdict: inout Verdict) {
        var seen: [UInt64: HistoryLedger.Hold] = [:]
        var largest: HistoryLedger.Hold?
        for hold in holds {
            if let before = seen[hold.token] {
                verdict.add(
                    .tokenRepeated, hold.name, hold.grantedAt, "granted to \(hold.who), as before to \(before.who)")
            } else if let largest, hold.token < largest.token {
                verdict.add(
                    .tokenWentBack, hold.name, hold.grantedAt, "granted to \(hold.who), after \(largest.who)")
            }
            seen[hold.token] = hold
            if hold.token > largest?.token ?? 0 { largest = hold }
        }
    }
}

// MARK: Writes

extension HistoryChecker {
    private struct Resource: Hashable {
        let lock: String
        let name: String
    }

    /// (c) What the resources accepted.
    private func checkWrites(_ events: [History.Event], _ ledger: HistoryLedger, _ verdict: inout Verdict) {
        var accepted: [Resource: (token: UInt64, by: String)] = [:]
        let byToken = ledger.holds.mapValues { Dictionary(grouping: $0, by: \.token) }
        for event in events {
            guard case .wrote(let token, let wasAccepted, let resource) = event.kind else { continue }
            let writer = "\(event.who) with token \(token)"
            guard let hold = byToken[event.name]?[token]?.first(where: { $0.grantedAt <= event.at }) else {
                verdict.add(.malformed, event.name, event.at, "write by \(writer), which was not granted before")
                continue
            }
            let isValid = event.at <= hold.validUntil
            guard wasAccepted else {
                if isValid, hold.process == event.process {
                    verdict.remarks.append("\(event.name): a write by \(writer) was refused while it held the lock")
                }
                continue
            }
            let key = Resource(lock: event.name, name: resource)
            let shown = resource.escapedForDisplay
            if let before = accepted[key], before.token > token {
                verdict.add(
                    .staleWrite, event.name, event.at,
                    "\(shown) accepted a write by \(writer) after one by \(before.by) with token \(before.token)")
                continue
            }
            accepted[key] = (token, event.who)
            guard !isValid else { continue }
            let later = ledger.holds[event.name]?.first { $0.token > token && $0.grantedAt < event.at }
            if let later {
                verdict.add(
                    .lateWrite, event.name, event.at,
                    "\(shown) accepted a write by \(writer), whose lease had ended, after the grant to \(later.who)")
            }
        }
    }
}

// MARK: Progress

extension HistoryChecker {
    /// (d) Time in which a lock has waiters, is not held, and the broker serves.
    private func checkFree(_ ledger: HistoryLedger, bound: UInt64, _ verdict: inout Verdict) {
        for (name, wanted) in ledger.wanted.sorted(by: { $0.key < $1.key }) {
            var changes: [(at: UInt64, held: Int, wanted: Int, down: Int)] = []
            for hold in ledger.holds[name] ?? [] where hold.validUntil > hold.grantedAt {
                changes.append((hold.grantedAt, 1, 0, 0))
                changes.append((hold.validUntil, -1, 0, 0))
            }
            for span in wanted {
                changes.append((span.lowerBound, 0, 1, 0))
                changes.append((span.upperBound, 0, -1, 0))
            }
            for span in ledger.down {
                changes.append((span.lowerBound, 0, 0, 1))
                changes.append((span.upperBound, 0, 0, -1))
            }
            changes.sort { $0.at < $1.at }
            var (held, wanting, down) = (0, 0, 0)
            var since: UInt64?
            for (index, change) in changes.enumerated() {
                held += change.held
                wanting += change.wanted
                down += change.down
                // All changes at one instant make one change.
                if index + 1 < changes.count, changes[index + 1].at == change.at { continue }
                let isLeftFree = held == 0 && wanting > 0 && down == 0
                if isLeftFree {
                    since = since ?? change.at
                } else if let start = since {
                    since = nil
                    guard change.at - start > bound else { continue }
                    let time = Duration.nanoseconds(Int64(clamping: change.at - start)).readable
                    verdict.add(.leftFree, name, start, "free for \(time) although somebody waited")
                }
            }
        }
    }
}

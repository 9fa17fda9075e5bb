import MQLock

extension Verdict {
    /// Numbers about a history.
    public struct Statistics: Sendable {
        /// How many events.
        public var events = 0
        /// How many names were granted at least once.
        public var names = 0
        /// How many grants.
        public var grants = 0
        /// How many writes resources accepted.
        public var acceptedWrites = 0
        /// How many writes resources refused.
        public var refusedWrites = 0
        /// Grants to contenders that were waiting when the hold before ended, in the order of the grants.
        public var handOvers: [HandOver] = []
        /// By process, as the events call it.
        public var processes: [String: ProcessCounts] = [:]

        init() {}

        init(_ events: [History.Event], _ ledger: HistoryLedger) {
            self.events = events.count
            for event in events { count(event) }
            names = ledger.holds.count
            grants = processes.values.reduce(0) { $0 + $1.grants }
            acceptedWrites = processes.values.reduce(0) { $0 + $1.writes }
            refusedWrites = processes.values.reduce(0) { $0 + $1.refused }
            handOvers = ledger.holds.values.flatMap(Self.handOvers).sorted { $0.at < $1.at }
        }

        /// How long it took from the end of a hold to the next grant, by the nearest rank; `nil` when there were no
        /// hand-overs.
        /// - Parameters:
        ///   - share: which share of the hand-overs was at most as long; 0.5 is the median.
        ///   - cause: counts only hand-overs after such an end; `nil` counts all.
        public func gap(at share: Double, after cause: HandOver.Cause? = nil) -> Duration? {
            let gaps = handOvers.filter { cause == nil || $0.cause == cause }.map(\.gap).sorted()
            guard !gaps.isEmpty else { return nil }
            let rank = Int((share * Double(gaps.count)).rounded(.up))
            return gaps[min(max(rank, 1), gaps.count) - 1]
        }
    }
}

extension Verdict.Statistics {
    private mutating func count(_ event: History.Event) {
        if event.kind == .brokerDown || event.kind == .brokerUp { return }
        var counts = processes[event.process] ?? .init()
        switch event.kind {
        case .granted: counts.grants += 1
        case .ended(.lost, _): counts.lost += 1
        case .gaveUp: counts.gaveUp += 1
        case .processDied: counts.died = true
        case .wrote(_, true, _): counts.writes += 1
        case .wrote(_, false, _): counts.refused += 1
        default: break
        }
        processes[event.process] = counts
    }

    private static func handOvers(_ holds: [HistoryLedger.Hold]) -> [Verdict.HandOver] {
        zip(holds, holds.dropFirst()).compactMap { before, next in
            guard let cause = before.ending else { return nil }
            let start =
                cause == .stopped
                ? min(before.stoppedAt ?? before.validUntil, before.validUntil)
                : before.validUntil
            // No one in line: the lock was idle, not handed over. Granted before the end: an overlap.
            guard next.waitingSince <= start, next.grantedAt >= start else { return nil }
            return Verdict.HandOver(
                name: before.name, from: before.holder, fromToken: before.token, cause: cause, to: next.holder,
                toToken: next.token, at: next.grantedAt, gap: .nanoseconds(Int64(clamping: next.grantedAt - start)))
        }
    }
}

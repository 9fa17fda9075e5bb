/// All numbers of a ``LockMetrics``. A pure value.
struct MetricsState: Sendable {
    /// What is counted for the locks of one label value.
    struct Series: Sendable {
        var counts: [Counter: UInt64] = [:]
        var losses: [LossReason.Kind: UInt64] = [:]
        var wait = Histogram()
        var hold = Histogram()
        var handOver = Histogram()
    }

    enum Counter: CaseIterable {
        case waits, contended, grants, releases, leaks, suspects, timeouts, cancellations, failures
    }

    /// How one provider stands, by its last event.
    private struct Provider: Sendable {
        var held = 0
        var waiting = 0
        var isConnected = false
        var proof: (until: ContinuousClock.Instant, length: Duration)?

        func isOfConcern(at now: ContinuousClock.Instant) -> Bool {
            held != 0 || waiting != 0 || isConnected || isProven(at: now)
        }

        func isProven(at now: ContinuousClock.Instant) -> Bool { proof.map { now < $0.until } ?? false }
    }

    private let label: LockMetrics.NameLabel
    /// By label value; the empty one when there is no label.
    private var series: [String: Series] = [:]
    private var providers: [Int: Provider] = [:]
    private var renewal = Histogram()
    private var connects: UInt64 = 0
    private var connectFailures: UInt64 = 0
    private var disconnects: UInt64 = 0
    private var foreignMessages: UInt64 = 0
    private var warnings: UInt64 = 0
    private var dropped: UInt64 = 0

    init(_ label: LockMetrics.NameLabel) {
        self.label = label
        // From the beginning, so the first loss is an increase and not the appearance of a series.
        for name in label.fixed ?? [] { series[LockMetrics.NameLabel.shown(name.string)] = Series() }
        series[label.isUsed ? LockMetrics.NameLabel.other : ""] = Series()
    }

    // MARK: Counting

    /// - Parameter text: the label value that the event's name asks for.
    mutating func count(_ event: LockEvent, _ text: String?) {
        dropped += UInt64(max(0, event.droppedBefore))
        note(event)
        switch event.kind {
        case .renewed: if let roundTrip = event.roundTrip { renewal.add(roundTrip) }
        case .connected: connects += 1
        case .connectionFailed: connectFailures += 1
        case .disconnected: disconnects += 1
        case .foreign: foreignMessages += 1
        case .warning: warnings += 1
        default: series[value(text), default: Series()].count(event)
        }
    }

    /// The requested value if it has a series or there is room for one.
    private func value(_ text: String?) -> String {
        guard label.isUsed else { return "" }
        guard let text else { return LockMetrics.NameLabel.other }
        // One of them is `other`.
        return series[text] != nil || series.count <= label.maximum ? text : LockMetrics.NameLabel.other
    }

    private mutating func note(_ event: LockEvent) {
        if providers[event.provider] == nil, providers.count >= 64 {
            // Some never report that they have stopped.
            providers = providers.filter { $0.value.isOfConcern(at: event.instant) }
        }
        var provider = providers[event.provider] ?? Provider()
        provider.held = event.locksHeld
        provider.waiting = event.contendersWaiting
        switch event.kind {
        case .connected: provider.isConnected = true
        case .renewed:
            if let proven = event.proven, let roundTrip = event.roundTrip {
                provider.proof = (event.instant.after(proven), proven + roundTrip)
            }
        // The answer that makes a session comes before it is announced.
        case .disconnected, .stopped: (provider.isConnected, provider.proof) = (false, nil)
        default: break
        }
        providers[event.provider] = provider
    }

    // MARK: Printing

    func exposition(at now: ContinuousClock.Instant) -> Exposition {
        var page = Exposition()
        let labelled = series.sorted { $0.key < $1.key }.map { value, series in
            (labels: label.isUsed ? [("lock", value)] : [], series: series)
        }
        for counter in Counter.allCases {
            page.family("mqlock_\(counter.name)_total", .counter, counter.help) { family in
                for (labels, series) in labelled { family.sample(labels, series.counts[counter] ?? 0) }
            }
        }
        page.family("mqlock_losses_total", .counter, "Locks that were lost, by reason.") { family in
            for (labels, series) in labelled {
                for reason in LossReason.Kind.all {
                    family.sample(labels + [("reason", reason.description)], series.losses[reason] ?? 0)
                }
            }
        }
        let histograms: [(String, String, KeyPath<Series, Histogram>)] = [
            ("wait", "From the call to the grant, in seconds.", \.wait),
            ("hold", "From the grant to the release or loss, in seconds.", \.hold),
            ("handover", "From the end of a hold in this process to the next grant here, in seconds.", \.handOver),
        ]
        for (name, help, path) in histograms {
            page.family("mqlock_\(name)_seconds", .histogram, help) { family in
                for (labels, series) in labelled { family.histogram(labels, series[keyPath: path]) }
            }
        }
        addSessions(to: &page, at: now)
        return page
    }

    private func addSessions(to page: inout Exposition, at now: ContinuousClock.Instant) {
        page.family("mqlock_renewal_seconds", .histogram, "Round trips of proofs of life, in seconds.") {
            $0.histogram([], renewal)
        }
        let counters: [(String, String, UInt64)] = [
            ("connects", "Sessions that came up.", connects),
            ("connect_failures", "Attempts to bring up a session that failed.", connectFailures),
            ("disconnects", "Sessions that ended other than by a shutdown.", disconnects),
            ("foreign_messages", "Messages and objects on the broker that are not ours.", foreignMessages),
            ("warnings", "Warnings about sessions.", warnings),
            ("events_dropped", "Events that were not counted, because they came too fast.", dropped),
        ]
        for (name, help, value) in counters {
            page.family("mqlock_\(name)_total", .counter, help) { $0.sample([], value) }
        }
        let gauges: [(String, String, Int)] = [
            ("held", "Locks held now.", providers.values.reduce(0) { $0 + $1.held }),
            ("waiting", "Callers that wait for a lock now.", providers.values.reduce(0) { $0 + $1.waiting }),
            ("sessions", "Sessions that are up.", providers.values.count { $0.isConnected }),
        ]
        for (name, help, value) in gauges {
            page.family("mqlock_\(name)", .gauge, help) { $0.sample([], value) }
        }
        // Of the session that is nearest to losing its locks; no sample while there is none. Where no session is
        // reported, a proof that has run out belongs to none.
        let nearest = providers.values.filter { $0.isConnected || $0.isProven(at: now) }.compactMap(\.proof)
            .min { $0.until < $1.until }
        page.family("mqlock_proof_remaining_seconds", .gauge, "What is left of the proof of life, in seconds.") {
            if let nearest { $0.sample([], max(.zero, now.duration(to: nearest.until)).seconds) }
        }
        page.family("mqlock_proof_length_seconds", .gauge, "How long a proof of life stands when new, in seconds.") {
            if let nearest { $0.sample([], nearest.length.seconds) }
        }
    }
}

extension MetricsState.Series {
    fileprivate mutating func count(_ event: LockEvent) {
        switch event.kind {
        case .waiting: add(.waits)
        case .contended: add(.contended)
        case .granted:
            add(.grants)
            if let waited = event.waited { wait.add(waited) }
            if let time = event.handOver { handOver.add(time) }
        case .released: add(.releases)
        case .leaked: add(.leaks)
        case .suspect: add(.suspects)
        case .timedOut: add(.timeouts)
        case .cancelled: add(.cancellations)
        case .failed: add(.failures)
        case .lost: if let reason = event.reason { losses[reason.kind, default: 0] += 1 }
        default: break
        }
        if let held = event.held { hold.add(held) }
    }

    private mutating func add(_ counter: MetricsState.Counter) { counts[counter, default: 0] += 1 }
}

extension MetricsState.Counter {
    fileprivate var name: String { "\(self)" }

    fileprivate var help: String {
        switch self {
        case .waits: "Calls of acquire."
        case .contended: "Tries that found the lock taken."
        case .grants: "Grants."
        case .releases: "Releases."
        case .leaks: "Held locks that were dropped without a release."
        case .suspects: "Times that a held lock's proof of life was overdue."
        case .timeouts: "Calls that ended at their deadline."
        case .cancellations: "Calls that were cancelled."
        case .failures: "Calls that ended with another error."
        }
    }
}

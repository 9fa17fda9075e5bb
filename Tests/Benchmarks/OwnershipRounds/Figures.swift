import Foundation

/// What was measured of one contestant, in nanoseconds.
struct Figures {
    /// What happens to the group.
    enum Phase: String, CaseIterable {
        case loneJoin = "a lone member joins"
        case secondJoin = "a second one joins"
        case leave = "it leaves"
        case kill = "SIGKILL"
        case restart = "rolling restart of five"
    }

    private(set) var totals: [Phase: [UInt64]] = [:]
    private(set) var stays: [Phase: [UInt64]] = [:]
    private(set) var moves: [Phase: [UInt64]] = [:]
    /// Of each shard, in a whole rolling restart.
    private(set) var restarts: [UInt64] = []

    mutating func add(_ phase: Phase, _ history: History, from start: UInt64) {
        totals[phase, default: []].append(history.end - min(start, history.end))
        stays[phase, default: []] += history.stays
        moves[phase, default: []] += history.moves
        if phase == .restart { restarts += history.total.values }
    }
}

/// Prints the figures of all contestants side by side.
struct Table {
    let place: Place
    let rounds: Int
    let figures: [Contestant: Figures]
    let claims: [UInt64]

    func show() {
        print(
            "\(place.topic.shards) shards, session \(place.session) ms, heartbeat \(place.heartbeat) ms,",
            terminator: "")
        print(" rounds \(rounds); milliseconds, median and most")
        print(cells("", "bare", "", "MQLock", "", "ratio"))
        for phase in Figures.Phase.allCases {
            row(phase.rawValue) { $0.totals[phase] }
            row("  a shard that stays, without owner") { $0.stays[phase] }
            row("  a shard that moves, without owner") { $0.moves[phase] }
        }
        row("  a shard in all that, without owner") { $0.restarts }
        print(cells("a claim of half of them, by librdkafka", text(median(claims)), text(claims.max()), "", "", ""))
        target()
    }

    /// What a claim that is made in a rebalance may add to it.
    private func target() {
        guard let bare = median(figures[.bare]?.stays[.secondJoin]),
            let own = median(figures[.mqlock]?.stays[.secondJoin]),
            let claim = median(claims)
        else { return }
        let limit = 2 * bare + claim
        print(
            """
            a shard that stays when a second one joins: 2 x bare + a claim is \(text(limit)), MQLock takes \(text(own)): \
            \(own <= limit ? "met" : "not met")

            """)
    }

    private func row(_ what: String, _ values: (Figures) -> [UInt64]?) {
        let (bare, own) = (figures[.bare].flatMap(values), figures[.mqlock].flatMap(values))
        guard let bare, let own, !bare.isEmpty || !own.isEmpty else { return }
        var ratio = ""
        if let of = median(own), let to = median(bare), to > 0 {
            ratio = String(format: "%.2f", Double(of) / Double(to))
        }
        print(cells(what, text(median(bare)), text(bare.max()), text(median(own)), text(own.max()), ratio))
    }

    private func median(_ values: [UInt64]?) -> UInt64? {
        guard let values, !values.isEmpty else { return nil }
        return values.sorted()[values.count / 2]
    }

    private func text(_ nanoseconds: UInt64?) -> String {
        nanoseconds.map { String(format: "%.1f", Double($0) / 1e6) } ?? "-"
    }

    private func cells(_ what: String, _ rest: String...) -> String {
        func pad(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) }
        return what + pad(what, 38) + rest.map { pad($0, 9) + $0 }.joined()
    }
}

import MQLock

/// The holds, waits and outages in a history, and what in it contradicts itself.
struct HistoryLedger {
    struct Hold {
        let name: String
        let process: String
        let contender: String
        let token: UInt64
        let grantedAt: UInt64
        /// When the contender joined the line; its grant when it never said.
        let waitingSince: UInt64
        /// The end of validity; the largest number while open.
        var validUntil = UInt64.max
        var ending = HandOverCause?.none
        /// When the process was stopped last during this hold.
        var stoppedAt: UInt64?

        var holder: String { describe(process, contender) }
        var who: String { "\(holder) (token \(token))" }
    }

    typealias HandOverCause = Verdict.HandOver.Cause

    private struct Key: Hashable {
        let process: String
        let contender: String
        let name: String

        init(_ event: History.Event) {
            process = event.process
            contender = event.contender
            name = event.name
        }
    }

    /// By name, in the order of the grants; of two in one nanosecond the smaller token first.
    private(set) var holds: [String: [Hold]] = [:]
    /// When a contender that could be granted each name stood in line.
    private(set) var wanted: [String: [Range<UInt64>]] = [:]
    /// When some broker served no one.
    private(set) var down: [Range<UInt64>] = []
    private(set) var malformed: [Verdict.Violation] = []
    private(set) var remarks: [String] = []

    /// Index into `holds[key.name]`.
    private var open: [Key: Int] = [:]
    private var waiting: [Key: UInt64] = [:]
    private var stopped: [String: UInt64] = [:]
    private var dead: Set<String> = []
    private var downSince: [String: UInt64] = [:]

    init(_ ordered: [History.Event]) {
        for event in ordered { take(event) }
        let end = ordered.last?.at ?? 0
        for (key, since) in waiting where stopped[key.process] == nil { addWanted(key.name, since, end) }
        for since in downSince.values where since < end { down.append(since..<end) }
        for (key, index) in open {
            // A stopped process that was never continued no longer acts, whatever its lease would have allowed.
            guard let stop = stopped[key.process] else { continue }
            holds[key.name]?[index].end(at: stop, .stopped)
        }
        for name in holds.keys {
            holds[name]?.sort { ($0.grantedAt, $0.token) < ($1.grantedAt, $1.token) }
            remarkTies(name)
        }
    }

    /// By instant; at one instant, in the given order.
    static func ordered(_ events: some Sequence<History.Event>) -> [History.Event] {
        events.enumerated().sorted { left, right in
            (left.element.at, left.offset) < (right.element.at, right.offset)
        }.map(\.element)
    }

    private mutating func take(_ event: History.Event) {
        switch event.kind {
        case .brokerDown: downSince[event.process] = downSince[event.process] ?? event.at
        case .brokerUp:
            if let since = downSince.removeValue(forKey: event.process), since < event.at {
                down.append(since..<event.at)
            }
        case .processDied: died(event)
        case .processStopped: wasStopped(event)
        case .processContinued: wasContinued(event)
        case .waiting, .granted, .ended, .gaveUp, .wrote:
            if dead.contains(event.process) { complain(event, "\(event.who) did something after its process had died") }
            takeContender(event)
        }
    }

    private mutating func takeContender(_ event: History.Event) {
        let key = Key(event)
        switch event.kind {
        case .waiting: waiting[key] = waiting[key] ?? event.at
        case .gaveUp: noLongerWaiting(key, event.at)
        case .granted(let token): granted(event, key, token)
        case .ended(let cause, let validUntil): ended(event, key, cause, validUntil)
        case .wrote, .processDied, .processStopped, .processContinued, .brokerDown, .brokerUp: break
        }
    }

    private mutating func granted(_ event: History.Event, _ key: Key, _ token: UInt64) {
        let since = noLongerWaiting(key, event.at) ?? event.at
        if let index = open[key] {
            complain(event, "\(event.who) was granted the lock twice without an end")
            holds[key.name]?[index].end(at: event.at, .released)
        }
        open[key] = holds[key.name, default: []].count
        holds[key.name, default: []].append(
            Hold(
                name: key.name, process: key.process, contender: key.contender, token: token, grantedAt: event.at,
                waitingSince: since))
    }

    private mutating func ended(_ event: History.Event, _ key: Key, _ cause: History.EndCause, _ validUntil: UInt64) {
        guard let index = open.removeValue(forKey: key), let hold = holds[key.name]?[index] else {
            complain(event, "\(event.who) ended a hold that was not granted")
            return
        }
        if validUntil > event.at {
            complain(event, "\(event.who) ended a hold that it calls valid beyond the end")
        }
        if validUntil < hold.grantedAt {
            remarks.append("\(key.name.escapedForDisplay): the grant to \(hold.who) was never valid")
        }
        switch cause {
        case .released: holds[key.name]?[index].end(at: validUntil, .released)
        case .lost: holds[key.name]?[index].end(at: validUntil, hold.stoppedAt == nil ? .lost : .stopped)
        }
    }

    private mutating func died(_ event: History.Event) {
        dead.insert(event.process)
        let stop = stopped.removeValue(forKey: event.process)
        for (key, index) in open where key.process == event.process {
            holds[key.name]?[index].end(at: stop ?? event.at, .died)
            open[key] = nil
        }
        for key in waiting.keys where key.process == event.process { noLongerWaiting(key, stop ?? event.at) }
    }

    private mutating func wasStopped(_ event: History.Event) {
        stopped[event.process] = stopped[event.process] ?? event.at
        for (key, index) in open where key.process == event.process { holds[key.name]?[index].stoppedAt = event.at }
        // It stays in line, but no one can be expected to grant it anything.
        for (key, since) in waiting where key.process == event.process { addWanted(key.name, since, event.at) }
    }

    private mutating func wasContinued(_ event: History.Event) {
        stopped[event.process] = nil
        for key in waiting.keys where key.process == event.process { waiting[key] = event.at }
    }

    @discardableResult
    private mutating func noLongerWaiting(_ key: Key, _ at: UInt64) -> UInt64? {
        guard let since = waiting.removeValue(forKey: key) else { return nil }
        addWanted(key.name, since, at)
        return since
    }

    private mutating func addWanted(_ name: String, _ from: UInt64, _ to: UInt64) {
        if from < to { wanted[name, default: []].append(from..<to) }
    }

    private mutating func complain(_ event: History.Event, _ message: String) {
        malformed.append(Verdict.Violation(.malformed, event.name, event.at, message))
    }

    private mutating func remarkTies(_ name: String) {
        let holds = holds[name] ?? []
        for (one, other) in zip(holds, holds.dropFirst()) where one.grantedAt == other.grantedAt {
            remarks.append(
                "\(name.escapedForDisplay): \(one.who) and \(other.who) were granted it in the same nanosecond")
        }
    }
}

extension HistoryLedger.Hold {
    mutating func end(at instant: UInt64, _ cause: Verdict.HandOver.Cause) {
        validUntil = max(instant, grantedAt)
        ending = cause
    }
}

extension History.Event {
    /// Process and contender as shown to people.
    var who: String { describe(process, contender) }
}

private func describe(_ process: String, _ contender: String) -> String {
    contender.isEmpty ? process.escapedForDisplay : "\(process)/\(contender)".escapedForDisplay
}

import MQLock

/// The reports of `show`, `observe` and `break` about contenders: lines for people, or JSON. Text from others is
/// escaped, and limited in length.
struct InspectionReport: Sendable {
    /// Nil for all locks.
    let name: LockName?
    let json: Bool
    let output: Output

    private static let maximumWaiters = 100

    // MARK: A view

    /// - Parameter mark: the last job that was done once for a period under this lock.
    func show(_ view: LockView, _ mark: DoneMark? = nil) {
        guard !json else { return showJSON(view, mark) }
        var text = "\(view.name) is \(Self.words(view))\n"
        for holder in view.holders { text += "  holder    \(Self.describe(holder))\n" }
        for (index, waiter) in view.waiters.prefix(Self.maximumWaiters).enumerated() {
            text += "  waiter \(waiter.place ?? index + 1)  \(Self.describe(waiter))\n"
        }
        let more = view.waiters.count - Self.maximumWaiters
        if more > 0 { text += "  and \(more) more waiters\n" }
        let doubt = !view.holders.isEmpty && view.isFreeAtBroker ? ": free, whatever was answered" : ""
        // What a log says is already shown.
        if view.queue != .log { text += "  broker    \(Self.words(view.queue))\(doubt)\n" }
        if let mark { text += "  last run  \(mark)\n" }
        output.standardOutput(text)
    }

    private static func words(_ view: LockView) -> String {
        switch view.state {
        case .held: "held"
        case .silent:
            "in use, and its holder does not answer: it is stopped or cut off, has just begun, or does not listen"
        case .free: "free"
        case .unclear: "free or held: no holder answers, and what the broker says does not tell"
        }
    }

    private static func words(_ queue: LockView.QueueView) -> String {
        switch queue {
        case .missing: "has no queue of that name"
        case .exclusive: "has the queue as another connection's own"
        case .taken: "has handed out the lock's one message"
        case .log: "has a log"
        case .counted(let messages, let consumers): "messages free \(messages), consumers \(consumers)"
        case .unknown: "does not say"
        }
    }

    /// One contender on one line.
    static func describe(_ contender: LockContender) -> String {
        var words = [contender.owner.escapedForDisplay]
        if let token = contender.fencingToken { words.append("fencing token \(token)") }
        let verb = contender.role == .holder ? "held" : "waiting"
        if contender.tellsSince {
            words.append("\(verb) for \(contender.duration.readable), since \(WallClock.stamp(contender.since))")
        }
        if contender.tellsPlace {
            words.append("host \(contender.host.escapedForDisplay), process \(contender.process)")
            words.append(contender.mutex.escapedForDisplay)
            // All that the broker vouches for.
            words.append(
                contender.user.map { "user \($0.escapedForDisplay)" } ?? "of no user that the broker has validated")
        }
        if let info = contender.info { words.append("says “\(info.escapedForDisplay)”") }
        return words.joined(separator: "; ")
    }

    private func showJSON(_ view: LockView, _ mark: DoneMark?) {
        var line = begin("lock")
        line.add("state", view.state.rawValue)
        line.add("holders", view.holders.count)
        line.add("waiters", view.waiters.count)
        switch view.queue {
        case .missing: line.add("queue", "missing")
        case .exclusive: line.add("queue", "exclusive")
        case .taken: line.add("queue", "taken")
        case .log: line.add("queue", "log")
        case .unknown: line.add("queue", "unknown")
        case .counted(let messages, let consumers):
            line.add("queue", "counted")
            line.add("messages", messages)
            line.add("consumers", consumers)
        }
        output.standardOutput(line.text)
        for contender in view.holders { tell("holder", contender) }
        for (index, waiter) in view.waiters.enumerated() {
            var waiter = waiter
            waiter.place = waiter.place ?? index + 1
            tell("waiter", waiter)
        }
        guard let mark else { return }
        var done = begin("done")
        done.add(mark)
        output.standardOutput(done.text)
    }

    // MARK: Changes

    func tell(_ change: LockChange) {
        guard !json else { return tell(change.kind.description, change.contender, reason: change.reason) }
        let reason = change.reason.map { ": \($0.escapedForDisplay)" } ?? ""
        output.standardOutput(
            "\(WallClock.stamp(WallClock.now)) \(change.kind) \(Self.describe(change.contender))\(reason)\n")
    }

    // MARK: A break

    /// The answer of each contender that says that it holds the lock.
    func tell(_ outcome: LockBreak.Outcome) {
        for holder in outcome.yielded {
            tell("yielding", holder, "has lost the lock; it is handed on when the holder has stopped")
        }
        for (claim, reason) in outcome.refusals {
            tell(
                "refused", claim, "says that it holds the lock, and refuses: \(reason.escapedForDisplay)",
                reason: reason,
                status: ExitStatus.noPermission)
        }
        // If there is no other, the whole break ends with this.
        for claim in outcome.silent where !outcome.speakers.isEmpty {
            tell(
                "silent", claim, "says that it holds the lock, and has not answered", status: ExitStatus.conflict)
        }
    }

    /// What happened to one of them.
    func tell(
        _ event: String, _ contender: LockContender, _ words: String, reason: String? = nil, status: Int32 = 0
    ) {
        guard !json else { return tell(event, contender, reason: reason) }
        let user = contender.user.map { " (user \($0.escapedForDisplay))" } ?? ""
        tell(event, "\(contender.owner.escapedForDisplay)\(user) \(words)", status: status)
    }

    func tell(_ event: String, _ words: String, status: Int32 = 0) {
        if json {
            var line = begin(event)
            if status != 0 { line.add("status", status) }
            line.add("message", words)
            output.standardOutput(line.text)
        } else if status == 0 {
            output.standardOutput("\(words)\n")
        } else {
            output.standardError("mqlock: \(words)\n")
        }
    }

    // MARK: JSON

    private func tell(_ event: String, _ contender: LockContender, reason: String? = nil) {
        var line = begin(event)
        line.add("owner", contender.owner)
        // As text: most readers of JSON make a floating-point number of a number, and tokens need all 63 bits.
        line.add("fence", contender.fencingToken?.description)
        if contender.tellsSince {
            line.add(contender.role == .holder ? "held" : "waited", contender.duration)
            line.add("since", WallClock.stamp(contender.since))
        }
        line.add("place", contender.place)
        if contender.tellsPlace {
            line.add("host", contender.host)
            line.add("pid", contender.process)
        }
        line.add("mutex", contender.mutex)
        line.add("session", contender.session)
        if contender.tellsPlace { line.add("connection", contender.connection) }
        line.add("user", contender.user)
        line.add("info", contender.info)
        line.add("reason", reason)
        output.standardOutput(line.text)
    }

    private func begin(_ event: String) -> JSONLine {
        var line = JSONLine(event)
        line.add("name", name?.string)
        return line
    }
}

extension LockContender {
    /// In a contender from a log some things are unknown.
    var tellsPlace: Bool { !isLogged }
    fileprivate var tellsSince: Bool { !isLogged || role == .holder }
}

extension InspectionReport {
    init(_ options: InspectionOptions, _ output: Output) {
        self.init(name: options.name, json: options.json, output: output)
    }
}

/// A question to the contenders of a name.
package enum ControlRequest: Hashable, Sendable {
    /// Who holds, who waits? Each answers `here`.
    case who
    /// The same, with a request for notice of every change for this long.
    case watch(seconds: Int)
    /// The holder with this token should give up the lock: `yielding` or `refused`.
    case yield(FencingToken)
    /// Sent by a contender that listens from now on; observers watch it then.
    case hello
    /// A question to everyone, not to a name's contenders: what do you hold or wait for? Each answers `listed` for each
    /// name, in the order of their bytes, beginning after this one.
    case list(after: LockName?)

    package static let maximumWatch = 60
    /// Names that a session answers to one `list`. A reader that receives this many asks for those after the last.
    package static let maximumListed = 256

    package func text(_ question: String) -> ControlText {
        switch self {
        case .who: ControlText("who", question)
        case .watch(let seconds): ControlText("watch", question, ["seconds": String(seconds)])
        case .yield(let token): ControlText("yield", question, ["fence": token.description])
        case .hello: ControlText("hello", question)
        case .list(let after): ControlText("list", question, after.map { ["after": $0.string] } ?? [:])
        }
    }

    /// Nil for anything that is not a complete request.
    package init?(_ text: ControlText) {
        switch text.word {
        case "who": self = .who
        case "watch":
            guard let seconds = text.number("seconds", upTo: Int64(Self.maximumWatch)), seconds > 0 else { return nil }
            self = .watch(seconds: Int(seconds))
        case "yield":
            guard let token = text.fencingToken else { return nil }
            self = .yield(token)
        case "hello": self = .hello
        case "list":
            let after = text.fields["after"].flatMap { try? LockName($0) }
            guard (after == nil) == (text.fields["after"] == nil) else { return nil }
            self = .list(after: after)
        default: return nil
        }
    }
}

/// An answer of a contender.
package enum ControlAnswer: Hashable, Sendable {
    case here(LockContender)
    case changed(LockChange)
    /// The lease is lost; the lock is handed to someone else when the holder has stopped.
    case yielding(LockContender)
    /// - user: as of ``LockContender/user``.
    case refused(session: String, reason: String, user: String? = nil)
    /// One of the locks that the session holds or waits for.
    case listed(LockName, LockContender)

    package func text(_ question: String) -> ControlText {
        switch self {
        case .here(let contender): return ControlText("here", question, contender.fields)
        case .changed(let change):
            var fields = change.contender.fields
            fields["change"] = change.kind.description
            fields["reason"] = change.reason
            return ControlText("changed", question, fields)
        case .yielding(let contender): return ControlText("yielding", question, contender.fields)
        case .refused(let session, let reason, _):
            return ControlText("refused", question, ["session": session, "reason": reason])
        case .listed(let name, let contender):
            return ControlText("listed", question, contender.fields.merging(["name": name.string]) { $1 })
        }
    }

    /// The same, sent by a user that the broker has validated; nil when it has not.
    package func said(by user: String?) -> Self {
        func named(_ contender: LockContender) -> LockContender {
            var contender = contender
            contender.user = user
            return contender
        }
        switch self {
        case .here(let contender): return .here(named(contender))
        case .changed(let change):
            return .changed(LockChange(change.kind, named(change.contender), reason: change.reason))
        case .yielding(let contender): return .yielding(named(contender))
        case .refused(let session, let reason, _): return .refused(session: session, reason: reason, user: user)
        case .listed(let name, let contender): return .listed(name, named(contender))
        }
    }

    /// Nil for anything that is not a complete answer.
    package init?(_ text: ControlText) {
        switch text.word {
        case "here":
            guard let contender = LockContender(text) else { return nil }
            self = .here(contender)
        case "changed":
            guard let contender = LockContender(text),
                let kind = LockChange.Kind.announced.first(where: { $0.description == text.fields["change"] })
            else { return nil }
            self = .changed(LockChange(kind, contender, reason: text.fields["reason"]))
        case "yielding":
            guard let contender = LockContender(text) else { return nil }
            self = .yielding(contender)
        case "refused":
            guard let session = text.fields["session"], ControlText.isNumber(session) else { return nil }
            self = .refused(session: session, reason: text.fields["reason"] ?? "")
        case "listed":
            guard let contender = LockContender(text), let name = text.fields["name"].flatMap({ try? LockName($0) })
            else { return nil }
            self = .listed(name, contender)
        default: return nil
        }
    }
}

extension LockContender {
    /// A year of holding: more is a mistake or a lie.
    private static let maximumAge: Int64 = 366 * 24 * 3600 * 1000

    fileprivate var fields: [String: String] {
        var fields = [
            "role": role.rawValue, "session": session, "owner": owner, "host": host, "process": String(process),
            "mutex": mutex, "since": String(max(0, since)),
            "age": String(min(max(0, duration.nanoseconds / 1_000_000), Self.maximumAge)), "connection": connection,
        ]
        fields["fence"] = fencingToken?.description
        fields["place"] = place.map(String.init)
        fields["info"] = info
        return fields
    }

    fileprivate init?(_ text: ControlText) {
        guard let role = text.fields["role"].flatMap(Role.init(rawValue:)),
            let session = text.fields["session"], ControlText.isNumber(session),
            let owner = text.fields["owner"], let host = text.fields["host"], let mutex = text.fields["mutex"],
            let connection = text.fields["connection"],
            let process = text.number("process", upTo: Int64(Int32.max)),
            let since = text.number("since", upTo: 1 << 50), let age = text.number("age", upTo: Self.maximumAge)
        else { return nil }
        let token = text.fencingToken
        let place = text.number("place", upTo: 1 << 30)
        // A holder without a token is none; a field that is there has to be complete.
        guard role == .waiter || token != nil, (text.fields["fence"] == nil) == (token == nil),
            (text.fields["place"] == nil) == (place == nil)
        else { return nil }
        self.init(
            role: role, session: session, owner: owner, host: host, process: Int32(process), mutex: mutex,
            duration: .milliseconds(age), since: since, fencingToken: token, place: place.map { Int($0) },
            connection: connection, info: text.fields["info"])
    }
}

extension ControlText {
    fileprivate var fencingToken: FencingToken? {
        guard let number = number("fence") else { return nil }
        return FencingToken(rawValue: UInt64(number))
    }
}

import MQLock

/// What is asked of the marks of a name.
enum MarkRequest: Sendable, Hashable {
    case read(LockName)
    /// The text is the same in all sessions that write it.
    case write(LockName, DoneText)

    var name: LockName {
        switch self {
        case .read(let name), .write(let name, _): name
        }
    }

    var isRead: Bool { if case .read = self { true } else { false } }
}

// What has been done under the names: told from the table, and written into the log.
extension LogSession {
    /// Answered when the session is open, or the mark was read back. Stands in no line.
    mutating func request(_ number: UInt64, _ request: MarkRequest, at moment: Moment) -> [Effect] {
        living(at: moment) { session in
            session.requests[number] = request
            session.idleSince = nil
            switch request {
            case .read: return session.answerReads()
            case .write(let name, let text): return [session.write(.done(session.id, name, text), at: moment)]
            }
        }
    }

    /// Nobody wants to know any more.
    mutating func giveUpRequest(_ number: UInt64, at moment: Moment) -> [Effect] {
        living(at: moment) { session in
            session.requests[number] = nil
            return []
        }
    }

    /// Only once the session has read as far as the log went when it began, and nobody can have written elsewhere.
    mutating func answerReads() -> [Effect] {
        guard isOpen, elders.isEmpty else { return [] }
        let reads = requests.filter(\.value.isRead).sorted { $0.key < $1.key }
        return reads.map { number, request in
            requests[number] = nil
            return .marks(number, view.table.done.marks(of: request.name))
        }
    }

    /// A record that has taken effect: the mark that it has, if it has one, is there for good. Also when it was written by
    /// an earlier session.
    mutating func settleWrites(_ record: LogRecord) -> [Effect] {
        guard case .done(_, let name, let text) = record.body else { return [] }
        let written = requests.filter { $0.value == .write(name, text) }.keys.sorted()
        return written.map { number in
            requests[number] = nil
            return .marked(number)
        }
    }
}

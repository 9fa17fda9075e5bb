import MQLock

/// A request about the marks of a name.
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

// Marks of jobs that have been done under the names: read from the table, and written to the log.
extension LogSession {
    /// Answered when the session is open, or when the mark was read back. A request has no place in a line.
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

    /// The caller does not wait any more.
    mutating func giveUpRequest(_ number: UInt64, at moment: Moment) -> [Effect] {
        living(at: moment) { session in
            session.requests[number] = nil
            return []
        }
    }

    /// Only once the session has read to the end that the log had when it began, and no session can have written
    /// elsewhere.
    mutating func answerReads() -> [Effect] {
        guard isOpen, elders.isEmpty else { return [] }
        let reads = requests.filter(\.value.isRead).sorted { $0.key < $1.key }
        return reads.map { number, request in
            requests[number] = nil
            return .marks(number, view.table.done.marks(of: request.name))
        }
    }

    /// A record that has taken effect: its mark, if it has one, is there for good, even if an earlier session wrote it.
    mutating func settleWrites(_ record: LogRecord) -> [Effect] {
        guard case .done(_, let name, let text) = record.body else { return [] }
        let written = requests.filter { $0.value == .write(name, text) }.keys.sorted()
        return written.map { number in
            requests[number] = nil
            return .marked(number)
        }
    }
}

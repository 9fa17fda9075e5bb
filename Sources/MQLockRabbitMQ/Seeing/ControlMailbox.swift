import MQLock

/// What a session has its control channel do, in order, from the lock connection's thread to the publish connection's.
final class ControlMailbox: Sendable {
    enum Command: Sendable {
        /// To listen for a name, or no longer.
        case listen(LockName)
        case ignore(LockName)
        case answer(ControlText, to: String)

        fileprivate var isAnswer: Bool {
            if case .answer = self { true } else { false }
        }
    }

    private struct Storage {
        var commands: [Command] = []
        var isAnnounced = false
    }

    private let storage = Locked(Storage())
    /// Beyond it answers are dropped: the other side may be busy with a connection that does not come up.
    private static let maximumAnswers = 10_000

    /// True when the other side has to be told that there is something to `take`.
    func put(_ commands: some Sequence<Command>) -> Bool {
        storage.withLock { storage in
            let isFull = storage.commands.count >= Self.maximumAnswers
            storage.commands += commands.filter { !isFull || !$0.isAnswer }
            defer { storage.isAnnounced = true }
            return !storage.isAnnounced
        }
    }

    func take() -> [Command] {
        storage.withLock { storage in
            storage.isAnnounced = false
            defer { storage.commands = [] }
            return storage.commands
        }
    }
}

/// What ties a session to its control channel.
struct ControlLink: Sendable {
    let session: Nonce
    let mailbox = ControlMailbox()
    /// Brings a question to the session.
    let ask: @Sendable (ControlQuestion) -> Void
    let warn: @Sendable (String) -> Void
}

/// Something to be told once only, over all sessions of a provider.
final class Once: Sendable {
    private let isDone = Locked(false)

    func callAsFunction(_ body: () -> Void) {
        let isFirst = isDone.withLock { isDone in
            defer { isDone = true }
            return !isDone
        }
        if isFirst { body() }
    }
}

/// When to connect, when to wait and when to stop. A pure value.
struct SupervisorMachine: Sendable, Equatable {
    /// Each case says where it can go.
    enum State: Sendable, Equatable {
        /// No session was needed yet, or the last attempt failed in a way that another would, too. To `connecting`,
        /// `stopped`.
        case idle
        /// The attempt under way; attempts are counted from the last session that has lasted. To `connected`,
        /// `waiting`, `idle`, `stopped`.
        case connecting(attempt: Int)
        /// Connected by the attempt with this number. To `waiting`, `draining`.
        case connected(attempt: Int)
        /// Waiting for the next attempt. To `connecting`, `stopped`.
        case waiting(attempt: Int)
        /// Holders have until the deadline to release. To `stopped`.
        case draining
        case stopped
    }

    enum Event: Sendable, Equatable, CaseIterable {
        /// A contender or `run()` needs a session.
        case wanted
        case connected
        case failedForNow
        case failedForGood
        case sessionEnded
        /// The session came up and ended before it was of any use: the next one may end in the same way.
        case sessionEndedSoon
        case waitOver
        case shutdown
        /// Nothing is held any longer, or the deadline has passed.
        case drained
    }

    enum Action: Sendable, Equatable {
        case connect
        /// Waits before the attempt with this number.
        case wait(attempt: Int)
        case cancelWait
        /// Its result is no longer needed.
        case cancelAttempt
        case announceSession
        /// Contenders get the failure.
        case failContenders
        /// Contenders get the error that the provider is shut down.
        case turnContendersAway
        case drain
        case closeSession
        case stopped
    }

    private(set) var state = State.idle

    /// Whether new contenders are accepted.
    var accepts: Bool {
        switch state {
        case .idle, .connecting, .connected, .waiting: true
        case .draining, .stopped: false
        }
    }

    /// Whether the last attempt has failed, and the next has not started.
    var hasFailed: Bool {
        if case .waiting(let attempt) = state { attempt > 1 } else { false }
    }

    mutating func handle(_ event: Event) -> [Action] {
        switch (state, event) {
        case (.idle, .wanted): return connect(1)
        case (.waiting(let attempt), .waitOver): return connect(attempt)
        case (.connecting(let attempt), .connected):
            state = .connected(attempt: attempt)
            return [.announceSession]
        case (.connecting(let attempt), .failedForNow):
            state = .waiting(attempt: attempt + 1)
            return [.wait(attempt: attempt + 1)]
        case (.connecting, .failedForGood):
            state = .idle
            return [.failContenders]
        // At once: the broker has just been reachable, and holders of other processes profit from the delay.
        case (.connected, .sessionEnded):
            state = .waiting(attempt: 1)
            return [.wait(attempt: 1)]
        case (.connected(let attempt), .sessionEndedSoon):
            state = .waiting(attempt: attempt + 1)
            return [.wait(attempt: attempt + 1)]

        case (.idle, .shutdown): return stop([.turnContendersAway])
        case (.waiting, .shutdown): return stop([.cancelWait, .turnContendersAway])
        case (.connecting, .shutdown): return stop([.cancelAttempt, .turnContendersAway])
        case (.connected, .shutdown):
            state = .draining
            return [.turnContendersAway, .drain]
        case (.draining, .drained): return stop([.closeSession])
        case (.draining, .sessionEnded), (.draining, .sessionEndedSoon): return stop([])

        // Requested while something is under way, or reported twice.
        case (_, .wanted), (_, .shutdown): return []
        // A late answer to a request of an earlier state.
        case (_, .drained), (_, .waitOver), (_, .sessionEnded), (_, .sessionEndedSoon): return []
        case (_, .connected), (_, .failedForNow), (_, .failedForGood):
            preconditionFailure("\(event) without an attempt in \(state)")
        }
    }

    private mutating func connect(_ attempt: Int) -> [Action] {
        state = .connecting(attempt: attempt)
        return [.connect]
    }

    private mutating func stop(_ actions: [Action]) -> [Action] {
        state = .stopped
        return actions + [.stopped]
    }
}

/// When to connect, when to wait and when to stop. A pure value.
struct SupervisorMachine: Sendable, Equatable {
    /// Each case says where it can go.
    enum State: Sendable, Equatable {
        /// Nobody has wanted a session yet, or the last attempt failed in a way that another would, too. To
        /// `connecting`, `stopped`.
        case idle
        /// The attempt under way, counted from the last session that has lasted. To `connected`, `waiting`, `idle`, `stopped`.
        case connecting(attempt: Int)
        /// By the attempt with this number. To `waiting`, `draining`.
        case connected(attempt: Int)
        /// Until the next attempt. To `connecting`, `stopped`.
        case waiting(attempt: Int)
        /// Holders have until the deadline to release. To `stopped`.
        case draining
        case stopped
    }

    enum Event: Sendable, Equatable, CaseIterable {
        /// A contender or `run()` wants a session.
        case wanted
        case connected
        case failedForNow
        case failedForGood
        case sessionEnded
        /// It came up and was gone before it was of any use: the next may fare no better.
        case sessionEndedSoon
        case waitOver
        case shutdown
        /// Nothing is held any more, or the deadline has passed.
        case drained
    }

    enum Action: Sendable, Equatable {
        case connect
        /// Waits before the attempt with this number.
        case wait(attempt: Int)
        case cancelWait
        /// What it brings is not wanted any more.
        case cancelAttempt
        case announceSession
        /// Contenders get the failure.
        case failContenders
        /// Contenders learn that the provider is shut down.
        case turnContendersAway
        case drain
        case closeSession
        case stopped
    }

    private(set) var state = State.idle

    /// Whether contenders may come.
    var accepts: Bool {
        switch state {
        case .idle, .connecting, .connected, .waiting: true
        case .draining, .stopped: false
        }
    }

    /// Whether the last attempt has come to nothing, and the next is yet to come.
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
        // At once: the broker has proven to be there, and holders of other processes profit from the delay.
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

        // Wanted while something is under way, or said twice.
        case (_, .wanted), (_, .shutdown): return []
        // What an earlier state had asked for comes late.
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

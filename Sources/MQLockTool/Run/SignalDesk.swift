/// The meaning of a signal to `mqlock run` at this moment.
struct SignalDesk: Equatable {
    enum Phase: Equatable {
        /// Waiting for the lock. To `cancelling`, `running`.
        case waiting
        /// A signal ended the wait; the provider is releasing what it may have acquired.
        case cancelling(Int32)
        /// The command runs, or is about to. To `over`.
        case running
        /// The command has ended.
        case over
    }

    enum Action: Equatable {
        case none
        case cancel
        /// The default effect of the signal.
        case stop
        /// The second signal: do not even wait for a clean end.
        case quit(Int32)
        case forward(Int32)
    }

    /// Whether a second terminating signal also counts when the command has ended by the first.
    var quitsWhenOver = false
    private(set) var phase = Phase.waiting
    /// The last terminating signal that was passed on to a command.
    private(set) var passedOn: Int32?

    mutating func received(_ signal: Int32) -> Action {
        switch phase {
        case .waiting:
            if Signals.stopping.contains(signal) { return .stop }
            guard Signals.endingWaits.contains(signal) else { return .none }
            phase = .cancelling(signal)
            return .cancel
        case .cancelling: return Signals.endingWaits.contains(signal) ? .quit(signal) : .none
        case .running:
            if Signals.terminating.contains(signal) { passedOn = signal }
            return .forward(signal)
        case .over:
            // The second one: its sender does not want to wait for a broker.
            let isSecond = passedOn != nil && Signals.terminating.contains(signal)
            return quitsWhenOver && isSecond ? .quit(signal) : .none
        }
    }

    /// The lock is granted. False when a signal came first: then nothing may run any more.
    mutating func begin() -> Bool {
        guard phase == .waiting else { return false }
        phase = .running
        return true
    }

    mutating func end() { phase = .over }

    /// There may be another command. False when an end was requested.
    mutating func waitAgain() -> Bool {
        guard phase == .over, passedOn == nil else { return false }
        phase = .waiting
        return true
    }

    /// The signal that ended the wait.
    var cancelledBy: Int32? {
        if case .cancelling(let signal) = phase { signal } else { nil }
    }
}

import MQLockTesting

/// The plot of the demo as a state machine without I/O: messages of workers come in, the next actions go out.
///
///     calm -> killing -> killed -> calm -> stopping -> stopped -> continued -> calm … -> finishing
///
/// No worker leaves the critical section without our answer, so "kill the holder" and "stop the holder" cannot miss it.
struct DemoScenario {
    /// The state of the plot; `victim` is always a worker inside the critical section.
    enum Phase: Equatable {
        /// Ordinary hand-overs until this many writes are done; then the next act.
        case calm(left: Int, then: Act)
        /// The next worker to ask is killed.
        case killing
        /// Until another worker is granted the lock.
        case killed(victim: String)
        /// The next worker to ask is stopped.
        case stopping
        /// Until another worker has written, so that the gate has seen a larger token.
        case stopped(victim: String)
        /// Until the victim has noticed its loss.
        case continued(victim: String)
        /// Until all workers have ended.
        case finishing
    }

    enum Act: Equatable { case kill, stop, finish }

    enum Action: Equatable {
        /// Lets the worker write after a moment inside that people can see.
        case answer(String)
        /// Lets the worker write at once.
        case answerNow(String)
        case kill(String)
        case stop(String)
        case resume(String)
        /// Starts another worker to replace a dead one.
        case spawn
        case quitAll
        /// Tells the audience.
        case say(String)
    }

    private(set) var phase: Phase
    private var roundsLeft: Int
    private let isSabotage: Bool

    init(_ options: DemoOptions) {
        isSabotage = options.isSabotage
        roundsLeft = options.rounds
        phase =
            isSabotage ? .calm(left: 2 * options.workers, then: .finish) : .calm(left: options.workers, then: .kill)
    }

    /// The worker is in the critical section and asks.
    mutating func asked(_ worker: String) -> [Action] {
        switch phase {
        case .killing:
            phase = .killed(victim: worker)
            return [.say("\(worker) holds the lock and gets SIGKILL"), .kill(worker)]
        case .stopping:
            phase = .stopped(victim: worker)
            return [
                .say("\(worker) holds the lock and gets SIGSTOP: its proof has to run out first"),
                .stop(worker),
            ]
        case .continued(let victim) where victim == worker, .stopped(let victim) where victim == worker:
            return [.answerNow(worker)]
        case .finishing: return [.answerNow(worker)]
        case .calm, .killed, .stopped, .continued: return [.answer(worker)]
        }
    }

    /// The worker recorded an event.
    mutating func took(_ event: History.Event) -> [Action] {
        switch (phase, event.kind) {
        case (.calm(let left, let next), .wrote):
            guard left <= 1 else {
                phase = .calm(left: left - 1, then: next)
                return []
            }
            return begin(next)
        case (.killed(let victim), .granted) where event.process != victim:
            phase = .calm(left: 3, then: .stop)
            return [.say("\(victim) is gone: \(event.process) holds the lock"), .spawn]
        case (.stopped(let victim), .granted) where event.process != victim:
            return [.say("\(event.process) holds the lock while \(victim) still believes that it does")]
        case (.stopped(let victim), .wrote(_, true, _)) where event.process != victim:
            phase = .continued(victim: victim)
            return [
                .say("\(victim) gets SIGCONT and writes without a look at its lease"), .resume(victim),
                .answerNow(victim),
            ]
        case (.continued(let victim), .wrote(let token, let accepted, _)) where event.process == victim:
            return [
                .say(
                    accepted
                        ? "the write of \(victim) with the stale token \(token) GOT THROUGH"
                        : "the gate refused \(victim): token \(token) is stale")
            ]
        case (.continued(let victim), .ended) where event.process == victim:
            roundsLeft -= 1
            phase = .calm(left: 2, then: roundsLeft > 0 ? .kill : .finish)
            return []
        default: return []
        }
    }

    /// The demo has to end, because it cannot continue.
    mutating func finish() -> [Action] { phase == .finishing ? [] : begin(.finish) }

    /// Whether the end of this worker's process belongs to the plot.
    func expectsEnd(of worker: String) -> Bool { phase == .finishing }

    private mutating func begin(_ act: Act) -> [Action] {
        switch act {
        case .kill: phase = .killing
        case .stop: phase = .stopping
        case .finish:
            phase = .finishing
            return [.quitAll]
        }
        return []
    }
}

/// The guard's decisions: a value that takes events and answers with what to do. No I/O, no clock.
///
/// Invariant: from `start` on, either the command and all that has to end with it have ended, or there is an instant
/// (``wakeAt(now:)``) at which they are killed without any further message. Only `mqlock` alive and holding a proof
/// moves that instant.
struct GuardMachine {
    enum State: Equatable {
        /// Nothing runs. To `running` by `start`, to `over` when the pipe closes.
        case idle
        /// The command runs under the proof. To `losing`, `sweeping`, `killed`, `over`.
        case running(deadline: Int64, ending: AskedEnd?)
        /// The command has been sent a signal to end. To `killed`, `sweeping`.
        case losing(signal: Int32, killAt: Int64, deadline: Int64)
        /// The command has ended, but others of its tree have not. To `killed`, `over`.
        case sweeping(GuardReport.Cause, killAt: Int64, deadline: Int64)
        /// SIGKILL is sent again and again, until no process is left or the proof has run out. To `over`.
        case killed(GuardReport.Cause, since: Int64, giveUpAt: Int64)
        case over
    }

    /// The command was asked to end while the lock is held.
    struct AskedEnd: Equatable {
        let signal: Int32
        let grace: Int64
    }

    enum Event: Equatable {
        case message(GuardMessage)
        /// `mqlock` is gone.
        case pipeClosed
        case spawnFailed(errno: Int32)
        case childEnded(status: Int32)
        case childStopped(signal: Int32)
        /// No process of the command's tree is left.
        case treeEmpty
        /// Only time has passed.
        case tick
    }

    enum Action: Equatable {
        /// Start the command; then comes `spawnFailed` or nothing.
        case spawn(fence: String)
        /// To the command's group; in the foreground to the command only.
        case signal(Int32)
        /// To the processes of the command's tree that `signal` does not reach.
        case signalOthers(Int32)
        /// To the whole tree.
        case kill
        case report(GuardReport)
        /// Report which processes of the tree are left.
        case reportSurvivors
        case exit
    }

    private(set) var state = State.idle
    /// SIGCONT, by number, to keep this file free of the platform.
    let continueSignal: Int32

    /// How often to look at a dying tree: not every process in it is our child, so nothing reports their end.
    static let sweepInterval: Int64 = 10_000_000
    /// How often to look at a tree that does not die, maybe for as long as the lock is held.
    static let slowInterval: Int64 = 100_000_000
    /// How long after SIGKILL the kernel may take to end a process before we report that it has not ended.
    static let patience: Int64 = 1_000_000_000

    init(continueSignal: Int32) { self.continueSignal = continueSignal }

    /// When to return with a tick if nothing else happens.
    func wakeAt(now: Int64) -> Int64? {
        switch state {
        case .idle, .over: nil
        case .running(let deadline, _): deadline
        case .losing(_, let killAt, _): killAt
        case .sweeping(_, let killAt, _): min(killAt, now + Self.sweepInterval)
        case .killed(_, let since, let giveUpAt):
            min(giveUpAt, now + (now - since < Self.patience ? Self.sweepInterval : Self.slowInterval))
        }
    }

    /// The time until then in milliseconds, rounded up, for poll(2); -1 means no limit.
    ///
    /// Never longer than 100 ms: poll's own clock stands still while the machine sleeps; the deadline's does not.
    func pollTimeout(now: Int64) -> Int32 {
        guard let wakeAt = wakeAt(now: now) else { return -1 }
        // Whatever instants were sent, nothing overflows.
        guard wakeAt > now else { return 0 }
        let (left, overflows) = wakeAt.subtractingReportingOverflow(now)
        return overflows || left > 100_000_000 ? 100 : Int32((left + 999_999) / 1_000_000)
    }

    /// Whether the guard waits for the end of the whole tree.
    var awaitsEmptyTree: Bool {
        switch state {
        case .sweeping, .killed: true
        case .idle, .running, .losing, .over: false
        }
    }

    mutating func handle(_ event: Event, now: Int64) -> [Action] {
        switch state {
        case .idle: idle(event, now)
        case .running(let deadline, let ending): running(event, deadline, ending, now)
        case .losing(let signal, let killAt, let deadline): losing(event, signal, killAt, deadline, now)
        case .sweeping(let cause, let killAt, let deadline): sweeping(event, cause, killAt, deadline, now)
        case .killed(let cause, let since, let giveUpAt): killed(event, cause, since, giveUpAt, now)
        case .over: []
        }
    }

    private mutating func idle(_ event: Event, _ now: Int64) -> [Action] {
        switch event {
        case .message(.start(let fence, let deadline)):
            guard deadline > now else {
                state = .over
                return [.report(.expired), .exit]
            }
            state = .running(deadline: deadline, ending: nil)
            return [.spawn(fence: fence)]
        case .pipeClosed:
            state = .over
            return [.exit]
        default: return []
        }
    }

    private mutating func running(_ event: Event, _ deadline: Int64, _ ending: AskedEnd?, _ now: Int64) -> [Action] {
        switch event {
        case .message(.deadline(let instant)):
            // A renewal that was written in time counts even when we read it late: the proof in it decides.
            state = .running(deadline: instant, ending: ending)
            return instant <= now ? kill(.deadline, instant, now) : []
        case .message(.signal(let signal)): return [.signal(signal)]
        case .message(.ending(let signal, let grace)):
            state = .running(deadline: deadline, ending: AskedEnd(signal: signal, grace: grace))
            return []
        case .message(.lose(let signal, let killAt)):
            let killAt = min(killAt, deadline)
            guard killAt > now else { return [.signal(signal)] + kill(.lost, deadline, now) }
            state = .losing(signal: signal, killAt: killAt, deadline: deadline)
            // A stopped command could not act on the signal.
            return [.signal(signal), .signal(continueSignal)]
        case .message(.start), .treeEmpty: return []
        case .pipeClosed: return kill(.orphaned, deadline, now)
        case .spawnFailed(let code):
            state = .over
            return [.report(.failed(errno: code)), .exit]
        case .childStopped(let signal): return [.report(.stopped(signal: signal))]
        case .childEnded(let status):
            let report = Action.report(.ended(status: status, at: now, cause: .own))
            guard let ending else { return [report] + end() }
            let (until, overflows) = now.addingReportingOverflow(ending.grace)
            let killAt = overflows ? deadline : min(deadline, until)
            return [report] + sweep(.own, ending.signal, killAt, deadline, now)
        case .tick: return now >= deadline ? kill(.deadline, deadline, now) : []
        }
    }

    private mutating func losing(
        _ event: Event, _ signal: Int32, _ killAt: Int64, _ deadline: Int64, _ now: Int64
    ) -> [Action] {
        switch event {
        case .message(.signal(let signal)): return [.signal(signal)]
        case .pipeClosed: return kill(.orphaned, deadline, now)
        case .childEnded(let status):
            return [.report(.ended(status: status, at: now, cause: .lost))]
                + sweep(.lost, signal, killAt, deadline, now)
        case .tick: return now >= killAt ? kill(.lost, deadline, now) : []
        // A lost proof does not come back.
        case .message, .spawnFailed, .childStopped, .treeEmpty: return []
        }
    }

    private mutating func sweeping(
        _ event: Event, _ cause: GuardReport.Cause, _ killAt: Int64, _ deadline: Int64, _ now: Int64
    ) -> [Action] {
        switch event {
        case .treeEmpty: return end()
        case .message(.signal(let signal)): return [.signal(signal), .signalOthers(signal)]
        case .message(.lose(let signal, let sooner)):
            state = .sweeping(cause, killAt: min(killAt, sooner), deadline: deadline)
            return [.signal(signal), .signalOthers(signal)]
        case .pipeClosed: return kill(cause, deadline, now)
        case .tick where now >= killAt: return kill(cause, deadline, now)
        default: return []
        }
    }

    private mutating func killed(
        _ event: Event, _ cause: GuardReport.Cause, _ since: Int64, _ giveUpAt: Int64, _ now: Int64
    ) -> [Action] {
        switch event {
        case .childEnded(let status): return [.report(.ended(status: status, at: now, cause: cause))]
        case .treeEmpty: return end()
        case .message(.deadline(let instant)) where cause == .own:
            // The lock is still held. Better to hold it longer than to hand it over while a process cannot be ended.
            state = .killed(cause, since: since, giveUpAt: max(giveUpAt, instant))
            return []
        case .tick: return now >= giveUpAt ? [.reportSurvivors] + end(isComplete: false) : [.kill]
        default: return []
        }
    }

    /// After the command's end. Processes outside of its group get the signal only now, because the command may have
    /// wanted to end them in an order of its own.
    private mutating func sweep(
        _ cause: GuardReport.Cause, _ signal: Int32, _ killAt: Int64, _ deadline: Int64, _ now: Int64
    ) -> [Action] {
        guard killAt > now else { return kill(cause, deadline, now) }
        state = .sweeping(cause, killAt: killAt, deadline: deadline)
        return [.signalOthers(signal), .signalOthers(continueSignal)]
    }

    private mutating func kill(_ cause: GuardReport.Cause, _ deadline: Int64, _ now: Int64) -> [Action] {
        state = .killed(cause, since: now, giveUpAt: max(deadline, now + Self.patience))
        return [.kill, .report(.killing)]
    }

    private mutating func end(isComplete: Bool = true) -> [Action] {
        state = .over
        return [.report(.done(isComplete: isComplete)), .exit]
    }
}

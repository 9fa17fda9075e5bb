/// What the guard decides: a value that takes events and answers with what to do. No I/O, no clock.
///
/// Invariant: from `start` on, either the command has been reaped or there is an instant (``wakeAt``) at which it is
/// killed without any further message. Only `mqlock` alive and holding a proof moves that instant.
struct GuardMachine {
    enum State: Equatable {
        /// Nothing runs. To `running` by `start`, to `over` when the pipe closes.
        case idle
        /// The command runs under the proof. To `losing`, `killed`, `over`.
        case running(deadline: Int64)
        /// It has been told to end. To `killed`, `sweeping`, `over`.
        case losing(killAt: Int64)
        /// SIGKILL is sent, its end is awaited. To `over`.
        case killed(GuardReport.Cause)
        /// After a loss the command has ended, others of its group may not have. To `over`.
        case sweeping(killAt: Int64)
        case over
    }

    enum Event: Equatable {
        case message(GuardMessage)
        /// `mqlock` is gone.
        case pipeClosed
        case spawnFailed(errno: Int32)
        case childEnded(status: Int32)
        /// Nobody is left in the command's group.
        case groupEmpty
        /// Nothing but the time.
        case tick
    }

    enum Action: Equatable {
        /// Start the command; what follows is `spawnFailed` or nothing.
        case spawn(fence: String)
        /// To the command's group, in the foreground to the command.
        case signal(Int32)
        case kill
        case report(GuardReport)
        case exit
    }

    private(set) var state = State.idle
    /// Whether others of the command's group are our business.
    let ownsGroup: Bool
    /// SIGCONT, by number, to keep this file free of the platform.
    let continueSignal: Int32

    /// How often a group that is dying is looked at: its members are not our children, nothing tells of their end.
    static let sweepInterval: Int64 = 10_000_000

    init(ownsGroup: Bool, continueSignal: Int32) {
        self.ownsGroup = ownsGroup
        self.continueSignal = continueSignal
    }

    /// When to come back with a tick if nothing else happens.
    func wakeAt(now: Int64) -> Int64? {
        switch state {
        case .idle, .killed, .over: nil
        case .running(let deadline): deadline
        case .losing(let killAt): killAt
        case .sweeping(let killAt): min(killAt, now + Self.sweepInterval)
        }
    }

    mutating func handle(_ event: Event, now: Int64) -> [Action] {
        switch state {
        case .idle: idle(event, now)
        case .running(let deadline): running(event, deadline, now)
        case .losing(let killAt): losing(event, killAt, now)
        case .killed(let cause): killed(event, cause, now)
        case .sweeping(let killAt): sweeping(event, killAt, now)
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
            state = .running(deadline: deadline)
            return [.spawn(fence: fence)]
        case .pipeClosed:
            state = .over
            return [.exit]
        default: return []
        }
    }

    private mutating func running(_ event: Event, _ deadline: Int64, _ now: Int64) -> [Action] {
        switch event {
        case .message(.deadline(let instant)):
            // A renewal that was written in time counts even when we read it late: the proof it carries decides.
            state = .running(deadline: instant)
            return instant <= now ? kill(.deadline) : []
        case .message(.signal(let signal)): return [.signal(signal)]
        case .message(.lose(let signal, let killAt)):
            let killAt = min(killAt, deadline)
            guard killAt > now else { return [.signal(signal)] + kill(.lost) }
            state = .losing(killAt: killAt)
            // A stopped command could not act on the signal.
            return [.signal(signal), .signal(continueSignal)]
        case .message(.start): return []
        case .pipeClosed: return kill(.orphaned)
        case .spawnFailed(let code):
            state = .over
            return [.report(.failed(errno: code)), .exit]
        case .childEnded(let status):
            state = .over
            return [.report(.ended(status: status, at: now, cause: .own)), .exit]
        case .groupEmpty: return []
        case .tick: return now >= deadline ? kill(.deadline) : []
        }
    }

    private mutating func losing(_ event: Event, _ killAt: Int64, _ now: Int64) -> [Action] {
        switch event {
        case .message(.signal(let signal)): return [.signal(signal)]
        case .pipeClosed: return kill(.orphaned)
        case .childEnded(let status):
            let report = Action.report(.ended(status: status, at: now, cause: .lost))
            state = ownsGroup ? .sweeping(killAt: killAt) : .over
            return ownsGroup ? [report] : [report, .exit]
        case .tick: return now >= killAt ? kill(.lost) : []
        // A proof that is lost does not come back.
        case .message, .spawnFailed, .groupEmpty: return []
        }
    }

    private mutating func killed(_ event: Event, _ cause: GuardReport.Cause, _ now: Int64) -> [Action] {
        guard case .childEnded(let status) = event else { return [] }
        state = .over
        return [.report(.ended(status: status, at: now, cause: cause)), .exit]
    }

    private mutating func sweeping(_ event: Event, _ killAt: Int64, _ now: Int64) -> [Action] {
        switch event {
        case .groupEmpty:
            state = .over
            return [.exit]
        case .pipeClosed:
            state = .over
            return [.kill, .exit]
        case .tick where now >= killAt:
            state = .over
            return [.kill, .exit]
        default: return []
        }
    }

    private mutating func kill(_ cause: GuardReport.Cause) -> [Action] {
        state = .killed(cause)
        return [.kill]
    }
}

public import MQLock

/// What the election suite has to know: how to make candidates and, as far as the environment can do it, how to break
/// things.
///
/// ```swift
/// let clock = ManualClock()
/// let broker = InMemoryBroker(clock: clock)
/// var subject = ElectionSubject<LeaderElection>(handOverLimit: broker.sessionTimeout) { options in
///     try LeaderElection(options.name, on: InMemoryLocks(broker), settings: options.settings, clock: clock)
/// }
/// (subject.clock, subject.pass) = (clock, { clock.advance(by: $0) })
/// print(await ElectionSuite(subject).run())
/// ```
public struct ElectionSubject<Candidate: Election>: Sendable {
    /// How to make a candidate.
    public struct Options: Sendable {
        /// What is led.
        public let name: LockName
        /// Who the candidate is.
        public let owner: String
        /// How it has to behave.
        public let settings: ElectionSettings
    }

    /// An action on one candidate's session.
    public typealias OnCandidate = @Sendable (Candidate) async throws -> Void

    /// Makes a candidate with a session of its own, as another process would have.
    public var make: @Sendable (Options) async throws -> Candidate
    /// Closes the session of a candidate that is no longer needed.
    public var close: @Sendable (Candidate) async -> Void = { _ in }
    /// Makes a name that no other test uses.
    public var makeName: @Sendable () async throws -> LockName = {
        try LockName("election-\(UInt64.random(in: 0 ... .max))")
    }
    /// The clock that candidates and their sessions live by.
    public var clock: any LockClock = SystemLockClock()
    /// Lets time pass if the clock has to be moved; `nil` if it passes by itself.
    public var pass: (@Sendable (Duration) async -> Void)?
    /// The longest time that the broker can need to hand the leadership of a silent session to someone else.
    public var handOverLimit: Duration
    /// How much real time a step may take that needs no clock to move; only a hang takes that long.
    public var patience: Duration = .seconds(30)
    /// How often leadership changes hands in checks that repeat it.
    public var turns = 12
    /// Returns when this many candidates stand in line for a name, the leader included.
    public var inLine: @Sendable (LockName, Int) async throws -> Void
    /// Whether `Election.observe()` sees other candidates.
    public var observesOthers = false
    /// Whether a candidate that joins interrupts the leader.
    public var joiningInterrupts = false
    /// Closes the candidate's connections; both sides notice.
    public var endSession: OnCandidate?
    /// How long the body of a leader whose session was ended may overlap with its successor's: as long as the broker's
    /// notice takes.
    public var noticeTakes = Duration.zero
    /// Lets nothing pass between the candidate and the broker any more; neither side is notified.
    public var silence: OnCandidate?
    /// Ends a silence.
    public var heal: OnCandidate?

    /// A subject whose candidates `make` makes.
    public init(
        handOverLimit: Duration, inLine: @escaping @Sendable (LockName, Int) async throws -> Void,
        make: @escaping @Sendable (Options) async throws -> Candidate
    ) {
        (self.handOverLimit, self.inLine, self.make) = (handOverLimit, inLine, make)
    }
}

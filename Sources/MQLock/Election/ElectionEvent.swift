/// Something that happened to a candidate.
public struct ElectionEvent: Sendable {
    /// What happened.
    public let kind: Kind
    /// When, by the clock of the election.
    public let instant: ContinuousClock.Instant
    /// The leadership's number: on everything that concerns one.
    public let fencingToken: FencingToken?
    /// Why the leadership ends: on `ending`, `overdue` and `ended`.
    public let end: LeadershipEnd?
    /// How long it led, on `ended`; how long it does not campaign, on `resting`.
    public let duration: Duration?
    /// Why the campaign failed: on `failed`.
    public let error: LockError?

    init(
        _ kind: Kind, at instant: ContinuousClock.Instant, token: FencingToken? = nil, end: LeadershipEnd? = nil,
        duration: Duration? = nil, error: LockError? = nil
    ) {
        (self.kind, self.instant, fencingToken, self.end) = (kind, instant, token, end)
        (self.duration, self.error) = (duration, error)
    }

    /// What can happen; new kinds may come with minor versions.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String { case campaigning, elected, ending, overdue, ended, resting, failed, withdrawn }
        private let value: Value

        /// It campaigns.
        public static let campaigning = Self(value: .campaigning)
        /// It leads.
        public static let elected = Self(value: .elected)
        /// The leadership has to end: the body has been cancelled.
        public static let ending = Self(value: .ending)
        /// The body ignores its cancellation: ``ElectionSettings/stopTimeout`` has passed. The leadership is kept until
        /// the body ends, unless it is lost; only the end of the process helps.
        public static let overdue = Self(value: .overdue)
        /// The leadership has ended, and the body with it.
        public static let ended = Self(value: .ended)
        /// It does not campaign for a while: it backs off, or stands aside.
        public static let resting = Self(value: .resting)
        /// A campaign has ended with an error.
        public static let failed = Self(value: .failed)
        /// It is no longer a candidate.
        public static let withdrawn = Self(value: .withdrawn)

        /// The kind's name.
        public var description: String { value.rawValue }
    }
}

/// Hands events to any number of readers; no reader can hold up anyone.
final class ElectionEvents: Sendable {
    private let readers = Locked(Readers<ElectionEvent>())

    func send(_ event: ElectionEvent) { readers.withLock { $0.tell(event) } }

    func subscribe() -> AsyncStream<ElectionEvent> { readers.withLock { $0.add() } }

    deinit { readers.withLock { $0.finish() } }
}

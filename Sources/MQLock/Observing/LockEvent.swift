/// Something that happened to a lock or a session. What each kind carries is in the article <doc:Observing>.
public struct LockEvent: Sendable {
    /// What happened.
    public let kind: Kind
    /// When, by the provider's clock.
    public let instant: ContinuousClock.Instant
    /// Which lock; `nil` for events of the session.
    public let name: LockName?
    /// Distinguishes one call of `acquire` or `tryAcquire` from all others of this process: the same number on
    /// `waiting`, on the event that ends the call, and on the end of the hold. `nil` on `suspect`, `foreign` and
    /// events of the session.
    public let attempt: UInt64?
    /// The lease's id, once there is one.
    public let leaseID: LeaseID?
    /// The fencing token, once there is one.
    public let fencingToken: FencingToken?
    /// Who contends or holds, as configured.
    public let owner: String
    /// How long the call had taken: on `granted`, `timedOut`, `cancelled` and `failed`.
    public let waited: Duration?
    /// How long the lock was held: on `released`, `lost` and `leaked`.
    public let held: Duration?
    /// On `granted`, when this process had the lock before and the caller was in line by then: the time from the end of
    /// that hold, or from the beginning of the wait if that came later, to this grant. Holds by other processes in
    /// between are part of it.
    public let handOver: Duration?
    /// How long the broker took to answer: on `renewed`, from the sending of the request to the arrival of the answer.
    public let roundTrip: Duration?
    /// How long the proof of life stands from this event's instant on, if the broker is silent from now on: on
    /// `renewed`.
    public let proven: Duration?
    /// Why: on `lost` and `disconnected`.
    public let reason: LossReason?
    /// Which error the caller got: on `timedOut`, `cancelled` and `failed`.
    public let errorCode: LockError.Code?
    /// What a person should know: on `foreign`, `warning`, `failed`, `connecting`, `connectionFailed` and `connected`.
    public let detail: String?
    /// Distinguishes the events of one provider from those of others that have the same observer.
    public internal(set) var provider = 0
    /// How many locks the provider held right after this event. True whatever was dropped before.
    public internal(set) var locksHeld = 0
    /// How many callers of `acquire` waited at the provider right after this event. True whatever was dropped before.
    public internal(set) var contendersWaiting = 0
    /// How many events were dropped between the last one that the observer got and this one, because the observer was
    /// too slow.
    public internal(set) var droppedBefore = 0
    /// Whether a `waiting` event came before the end of the call: not for tries.
    let endsWaiting: Bool

    package init(
        _ kind: Kind, at instant: ContinuousClock.Instant, name: LockName? = nil, record: LeaseRecord? = nil,
        owner: String, attempt: UInt64? = nil, endsWaiting: Bool = false, waited: Duration? = nil,
        held: Duration? = nil, handOver: Duration? = nil, roundTrip: Duration? = nil, proven: Duration? = nil,
        reason: LossReason? = nil, errorCode: LockError.Code? = nil, detail: String? = nil
    ) {
        self.kind = kind
        self.instant = instant
        self.name = name ?? record?.name
        self.attempt = attempt
        leaseID = record?.id
        fencingToken = record?.token
        self.owner = owner
        self.endsWaiting = endsWaiting
        self.waited = waited
        self.held = held
        self.handOver = handOver
        self.roundTrip = roundTrip
        self.proven = proven
        self.reason = reason
        self.errorCode = errorCode
        self.detail = detail?.escapedForDisplay
    }
}

extension LockEvent {
    /// What can happen; new kinds may come with minor versions.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String, CaseIterable {
            case waiting, contended, granted, suspect, lost, released, leaked, timedOut, cancelled, failed, foreign
            case connecting, connectionFailed, connected, renewed, warning, disconnected, stopped
        }
        private let value: Value

        /// A contender stands in line.
        public static let waiting = Self(value: .waiting)
        /// A try found the lock held.
        public static let contended = Self(value: .contended)
        /// The lock was granted.
        public static let granted = Self(value: .granted)
        /// Proof of life is overdue; the lock is still held.
        public static let suspect = Self(value: .suspect)
        /// The lock was lost.
        public static let lost = Self(value: .lost)
        /// The lock was released.
        public static let released = Self(value: .released)
        /// A held lock was dropped without a release, and has been released.
        public static let leaked = Self(value: .leaked)
        /// A contender's deadline passed.
        public static let timedOut = Self(value: .timedOut)
        /// A contender was cancelled.
        public static let cancelled = Self(value: .cancelled)
        /// An attempt ended with an error.
        public static let failed = Self(value: .failed)
        /// A foreign message or object was found on the broker, and dropped or refused.
        public static let foreign = Self(value: .foreign)
        /// An attempt to start a session begins: the first or another one.
        public static let connecting = Self(value: .connecting)
        /// The attempt to start a session has failed; another follows unless the error says that it is of no use.
        public static let connectionFailed = Self(value: .connectionFailed)
        /// A session with the broker came up.
        public static let connected = Self(value: .connected)
        /// The broker has proven that the session lives: all its leases stand longer.
        public static let renewed = Self(value: .renewed)
        /// The session works, but not as it should: others on the network can read it, or impersonate the broker.
        public static let warning = Self(value: .warning)
        /// The session ended; another is tried unless the provider is shutting down.
        public static let disconnected = Self(value: .disconnected)
        /// The provider has stopped.
        public static let stopped = Self(value: .stopped)

        package static let all = Value.allCases.map(Self.init)

        /// The kind's name.
        public var description: String { value.rawValue }
    }
}

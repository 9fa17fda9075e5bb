/// Receives every event of a provider, for logs, metrics and traces.
///
/// Called one event at a time, never on a broker thread and never while a lock of this package is held. Events wait in
/// a bounded buffer; when an observer is too slow, further ones are dropped and their number is told by the next
/// event's ``LockEvent/droppedBefore``.
public protocol LockObserver: Sendable {
    /// Takes one event; should return soon.
    func observe(_ event: LockEvent)
}

/// Something that happened to a lock or a session.
public struct LockEvent: Sendable {
    /// What happened.
    public let kind: Kind
    /// When, by the provider's clock.
    public let instant: ContinuousClock.Instant
    /// Which lock; `nil` for events of the session.
    public let name: LockName?
    /// The lease's id, once there is one.
    public let leaseID: LeaseID?
    /// The fencing token, once there is one.
    public let fencingToken: FencingToken?
    /// Who contends or holds, as configured.
    public let owner: String
    /// How long the contender had waited: on `granted`, `timedOut` and `cancelled`.
    public let waited: Duration?
    /// How long the lock was held: on `released`, `lost` and `leaked`.
    public let held: Duration?
    /// Why: on `lost` and `disconnected`.
    public let reason: LossReason?
    /// What a person should know: on `stranger`, `warning`, `failed` and `connected`.
    public let detail: String?
    /// How many events were dropped before this one because the observer was too slow.
    public internal(set) var droppedBefore = 0

    /// What can happen; new kinds may come with minor versions.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case waiting, contended, granted, suspect, lost, released, leaked, timedOut, cancelled, failed, stranger
            case connected, warning, disconnected, stopped
        }
        private let value: Value

        /// A contender stands in line.
        public static let waiting = Self(value: .waiting)
        /// A try found the lock taken.
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
        /// A message or an object on the broker that is not ours was met and dropped or refused.
        public static let stranger = Self(value: .stranger)
        /// A session with the broker came up.
        public static let connected = Self(value: .connected)
        /// The session works, but not as it should: others on the network can read it, or pose as the broker.
        public static let warning = Self(value: .warning)
        /// The session ended; another is tried unless the provider is shutting down.
        public static let disconnected = Self(value: .disconnected)
        /// The provider has stopped.
        public static let stopped = Self(value: .stopped)

        /// The kind's name.
        public var description: String { value.rawValue }
    }

    package init(
        _ kind: Kind, at instant: ContinuousClock.Instant, name: LockName? = nil, record: LeaseRecord? = nil,
        owner: String, waited: Duration? = nil, held: Duration? = nil, reason: LossReason? = nil, detail: String? = nil
    ) {
        self.kind = kind
        self.instant = instant
        self.name = name ?? record?.name
        leaseID = record?.id
        fencingToken = record?.token
        self.owner = owner
        self.waited = waited
        self.held = held
        self.reason = reason
        self.detail = detail?.escapedForDisplay
    }
}

import Synchronization

/// A candidate's time as the leader, from its election to its end.
public struct Leadership: Sendable {
    /// The proof of leading.
    public let lease: Lease
    let progress: Progress
    private let candidate: Candidate

    init(_ lease: Lease, _ progress: Progress, _ candidate: Candidate) {
        (self.lease, self.progress, self.candidate) = (lease, progress, candidate)
    }

    /// The number of this leadership, larger than that of every earlier leader: hand it to every resource.
    public var fencingToken: FencingToken { lease.fencingToken }

    /// Whether it is certain that no one else can lead. No I/O; see ``Lease/isValid``.
    public var isValid: Bool { lease.isValid }

    /// Throws unless the leadership is proven for at least `margin` more; call it before every irreversible step.
    /// - Throws: ``LockError`` as ``Lease/check(atLeast:)``.
    public func check(atLeast margin: Duration = .zero) throws(LockError) { try lease.check(atLeast: margin) }

    /// Says that the work makes progress: what ``ElectionSettings/Health/progress(within:)`` waits for.
    public func madeProgress() { progress.beat() }

    /// As ``Election/resign()``.
    public func resign() async { await candidate.ask(.resigned) }

    /// As ``Election/cede()``.
    public func cede() async { await candidate.ask(.ceded) }

    /// When the broker can hand the leadership to someone else although its proof lasts longer; set when it asks for
    /// it.
    package var endsBy: ContinuousClock.Instant? { progress.endsBy.withLock { $0 } }

    /// Why it has to end; set before the body is cancelled.
    package var end: LeadershipEnd? { progress.end.withLock { $0 } }

    /// What the work reports about itself, and what it is notified of besides its cancellation.
    final class Progress: Sendable {
        private let beats = Atomic<UInt64>(0)
        let endsBy = Locked<ContinuousClock.Instant?>(nil)
        let end = Locked<LeadershipEnd?>(nil)

        func beat() { beats.add(1, ordering: .relaxed) }
        var count: UInt64 { beats.load(ordering: .relaxed) }
    }
}

/// How and why a leadership has ended.
public struct LeadershipEnd: Sendable, CustomStringConvertible {
    /// What ended it.
    public let kind: Kind
    /// Why it was lost, or was about to be: on `lost`.
    public let reason: LossReason?
    /// What the body threw, if it did.
    public let error: (any Error)?

    package init(_ kind: Kind, reason: LossReason? = nil, error: (any Error)? = nil) {
        (self.kind, self.reason, self.error) = (kind, reason, error)
    }

    /// What can end a leadership; new kinds may come with minor versions.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String { case lost, resigned, ceded, unhealthy, stopped, finished, failed }
        private let value: Value

        /// Lost, or given up just before it would have been.
        public static let lost = Self(value: .lost)
        /// Someone called ``Election/resign()``.
        public static let resigned = Self(value: .resigned)
        /// Someone called ``Election/cede()``.
        public static let ceded = Self(value: .ceded)
        /// The health check made it resign.
        public static let unhealthy = Self(value: .unhealthy)
        /// ``Election/run(_:)`` was cancelled.
        public static let stopped = Self(value: .stopped)
        /// The body returned.
        public static let finished = Self(value: .finished)
        /// The body threw an error of its own.
        public static let failed = Self(value: .failed)

        /// The kind's name.
        public var description: String { value.rawValue }
    }

    /// Kind and cause in words.
    public var description: String {
        let cause = reason?.description ?? error.map { String(describing: $0).escapedForDisplay }
        return cause.map { "\(kind): \($0)" } ?? kind.description
    }
}

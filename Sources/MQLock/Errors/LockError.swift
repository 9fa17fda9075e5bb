/// The one error that this package throws.
///
/// Decide by ``code``; show ``message``, which says what to do. New codes may come with minor versions, so the code is
/// not an enum.
public struct LockError: Error, Sendable {
    /// What went wrong.
    public let code: Code
    /// What went wrong and what to do about it, in a sentence fit for a log; never holds a password.
    public let message: String
    /// Why the lock was lost, for ``Code/lost``.
    public let lossReason: LossReason?
    /// Which token was refused and what had been admitted before, for ``Code/staleToken``.
    public let refusal: FenceRefusal?
    /// The error behind this one: the broker library's, or what the body of `withLock` threw after a loss.
    public let underlying: (any Error)?

    /// Makes an error.
    public init(
        _ code: Code, _ message: String, lossReason: LossReason? = nil, refusal: FenceRefusal? = nil,
        underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.lossReason = lossReason
        self.refusal = refusal
        self.underlying = underlying
    }

    /// The error of a lock that is lost, with the error that the interrupted work threw, if any.
    package static func lost(_ reason: LossReason, name: LockName, underlying: (any Error)? = nil) -> LockError {
        LockError(
            .lost, "the lock \(name) was lost: \(reason); what was done since may overlap with the next holder",
            lossReason: reason, underlying: underlying)
    }

    package static func cancelled(_ name: LockName) -> LockError {
        LockError(.cancelled, "waiting for the lock \(name) was cancelled")
    }

    package static func timedOut(_ name: LockName, detail: String? = nil) -> LockError {
        let detail = detail.map { ": \($0)" } ?? ""
        return LockError(.timedOut, "the lock \(name) was not obtained in time\(detail)")
    }
}

extension LockError {
    /// What went wrong, as a value to compare.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case cancelled, timedOut, lost, released, leaseTooShort, alreadyRunning, invalidName, invalidConfiguration,
                unreachable, accessRefused, incompatible, notOwner, limitExceeded, shutDown, tokenRegression,
                staleToken, storageFailed, outcomeUnknown, unhealthy, internalError
        }
        private let value: Value

        /// The waiting task was cancelled; nothing is held.
        public static let cancelled = Self(value: .cancelled)
        /// The deadline passed; nothing is held.
        public static let timedOut = Self(value: .timedOut)
        /// The lock was held and no longer is, without a release by us.
        public static let lost = Self(value: .lost)
        /// A lease was checked after its holder had released the lock.
        public static let released = Self(value: .released)
        /// The lease is valid, but for less time than the check asked for: nothing is lost yet.
        public static let leaseTooShort = Self(value: .leaseTooShort)
        /// Something that can run only once at a time, or only once at all, was started again: `run()`, or a second
        /// campaign of one candidate. The first one continues.
        public static let alreadyRunning = Self(value: .alreadyRunning)
        /// The name is empty, too long, or does not fit the broker's own limits.
        public static let invalidName = Self(value: .invalidName)
        /// A broker URI, a duration or an option does not make sense.
        public static let invalidConfiguration = Self(value: .invalidConfiguration)
        /// No session with the broker could be started.
        public static let unreachable = Self(value: .unreachable)
        /// The broker refused credentials, virtual host or a permission.
        public static let accessRefused = Self(value: .accessRefused)
        /// An object of that name with other settings exists on the broker.
        public static let incompatible = Self(value: .incompatible)
        /// Another process owns what the name belongs to (sharded locks).
        public static let notOwner = Self(value: .notOwner)
        /// One of the configured limits is reached: waiters, names, channels.
        public static let limitExceeded = Self(value: .limitExceeded)
        /// The provider was shut down.
        public static let shutDown = Self(value: .shutDown)
        /// A fencing token that is not larger than one seen before: the broker's state went back.
        public static let tokenRegression = Self(value: .tokenRegression)
        /// A resource saw a larger fencing token before: the write comes from a former holder.
        public static let staleToken = Self(value: .staleToken)
        /// A file that this package keeps cannot be read, written or trusted.
        public static let storageFailed = Self(value: .storageFailed)
        /// A leader's work made no progress; it has resigned.
        public static let unhealthy = Self(value: .unhealthy)
        /// A write was sent and not answered: it may have taken effect, or may do so later. Check before you try again.
        public static let outcomeUnknown = Self(value: .outcomeUnknown)
        /// A defect of this package, or a broker that does not keep its protocol.
        public static let internalError = Self(value: .internalError)

        /// The code's name.
        public var description: String { value.rawValue }
    }
}

extension LockError: CustomStringConvertible {
    /// Code, message and underlying error in a line.
    public var description: String {
        let cause = underlying.map { " (\(String(describing: $0).escapedForDisplay))" } ?? ""
        return "\(code): \(message)\(cause)"
    }
}

/// A lock service that also keeps, beside each lock, what has been done under it.
///
/// That is what ``once(_:for:within:marksFailures:_:)-(LockName,_,_,_,_)`` needs. The marks outlive the sessions and programs
/// that wrote them, and restarts of the broker.
public protocol MarkKeeping: LockProvider {
    /// This moment in milliseconds since 1970; by the machine's clock, unless the provider says otherwise.
    var timeOfDay: Int64 { get }

    /// The last marks of a lock, at least ``DoneMark/kept`` of them if there are so many, in any order.
    ///
    /// A holder of the lock sees every mark that was written under it before.
    /// - Parameters:
    ///   - name: the lock's name.
    ///   - limit: how long to wait for the broker at most; `nil` waits until it has answered.
    /// - Throws: ``LockError``: `unreachable` at the deadline, `cancelled` when the task is cancelled; other codes when
    ///   waiting makes no sense.
    func marks(of name: LockName, within limit: Duration?) async throws(LockError) -> [DoneMark]

    /// Keeps a mark of a lock; returns when the broker has it for good. Writing the same one twice does no harm.
    /// - Parameters:
    ///   - mark: what has been done.
    ///   - name: the lock's name; the caller holds it, or held it a moment ago.
    ///   - limit: how long to try at most; `nil` tries until the broker has answered.
    /// - Throws: ``LockError``: `outcomeUnknown` at the deadline, `cancelled` when the task is cancelled, and then the mark may
    ///   have been written or not; other codes when it certainly was not.
    func write(_ mark: DoneMark, of name: LockName, within limit: Duration?) async throws(LockError)
}

extension MarkKeeping {
    /// The clock of this machine.
    public var timeOfDay: Int64 { WallClock.now }

    /// The last marks of a lock; waits until the broker has answered.
    /// - Throws: ``LockError`` as ``marks(of:within:)-(LockName,_)``.
    public func marks(of name: LockName) async throws(LockError) -> [DoneMark] {
        try await marks(of: name, within: nil)
    }
}

/// The result of a job that is done once in a period.
public enum OnceResult<Value> {
    /// It was done now.
    case done(Value)
    /// It had been done before, as this mark says.
    case skipped(DoneMark)

    /// What the job returned; nil when it was skipped.
    public var value: Value? {
        switch self {
        case .done(let value): value
        case .skipped: nil
        }
    }

    /// The mark for which the job was skipped; nil when it was done now.
    public var mark: DoneMark? {
        switch self {
        case .done: nil
        case .skipped(let mark): mark
        }
    }
}

extension OnceResult: Sendable where Value: Sendable {}
extension OnceResult: Equatable where Value: Equatable {}

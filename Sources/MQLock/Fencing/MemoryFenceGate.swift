/// A fence gate for a resource that lives and dies with this process.
///
/// Writes under different names run side by side, writes under one name one after the other; a waiting one blocks its
/// thread, so keep writes short.
public final class MemoryFenceGate: FenceGate {
    private let marks = Locked<[LockName: Locked<FencingToken?>]>([:])
    private let maximumNames: Int

    /// - Parameter maximumNames: how many names the gate remembers; more are refused, never forgotten.
    public init(maximumNames: Int = 100_000) {
        self.maximumNames = maximumNames
    }

    /// See ``FenceGate/withAdmission(_:for:_:)``; throws code `limitExceeded` for one name too many.
    public func withAdmission<Result>(
        _ token: FencingToken, for name: LockName, _ write: () throws -> Result
    ) throws -> Result {
        try mark(of: name).withLock { highest in
            if let highest, token < highest {
                throw LockError.staleToken(FenceRefusal(presented: token, highest: highest), name: name)
            }
            highest = token
            return try write()
        }
    }

    /// See ``FenceGate/highest(for:)``.
    public func highest(for name: LockName) throws(LockError) -> FencingToken? {
        marks.withLock { $0[name] }?.withLock { $0 }
    }

    private func mark(of name: LockName) throws(LockError) -> Locked<FencingToken?> {
        try marks.withLock { (marks) throws(LockError) in
            if let mark = marks[name] { return mark }
            guard marks.count < maximumNames else {
                throw LockError(
                    .limitExceeded,
                    "this fence gate remembers \(maximumNames) names already; raise the limit or use one gate per resource"
                )
            }
            let mark = Locked<FencingToken?>(nil)
            marks[name] = mark
            return mark
        }
    }
}

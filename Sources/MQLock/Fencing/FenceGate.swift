/// The guard of a resource: lets a write pass if its fencing token is not smaller than one that passed before.
///
/// A holder that was paused believes in its lock until it looks at a clock. The resource believes the tokens: once the
/// next holder has been admitted, the paused one is refused, whatever it believes. Before that admission a stale write
/// still passes, so a new holder should be admitted before it reads what it builds on.
///
/// Only tokens of one lock name can be compared, so a gate keeps the largest one per name.
public protocol FenceGate: Sendable {
    /// Admits the token and runs `write` with the gate closed to all others, so check and write are one step.
    ///
    /// The token is remembered before `write` runs, and stays so when `write` fails. An equal token is the same
    /// holder again and is admitted. `write` must not enter the same gate, which would wait for itself.
    /// - Throws: ``LockError`` with code ``LockError/Code/staleToken`` and ``LockError/refusal`` for a token smaller
    ///   than the largest seen, other codes when the gate cannot tell or cannot remember, and then `write` has not
    ///   run; else what `write` throws.
    func withAdmission<Result>(
        _ token: FencingToken, for name: LockName, _ write: () throws -> Result
    ) throws -> Result

    /// The largest token admitted so far; `nil` when there was none.
    /// - Throws: ``LockError`` when the gate cannot tell.
    func highest(for name: LockName) throws(LockError) -> FencingToken?
}

extension FenceGate {
    /// Admits the token or refuses it.
    ///
    /// For resources that order writes by themselves afterwards. If they do not, a smaller token can be admitted, a
    /// larger one admitted and written, and then the smaller one written: use ``withAdmission(_:for:_:)``.
    /// - Throws: ``LockError`` as ``withAdmission(_:for:_:)``.
    public func admit(_ token: FencingToken, for name: LockName) throws(LockError) {
        do {
            try withAdmission(token, for: name) {}
        } catch let error as LockError {
            throw error
        } catch {
            throw LockError(.internalError, "the fence gate failed", underlying: error)
        }
    }
}

/// A token that a ``FenceGate`` refused, and the one that it had seen before.
public struct FenceRefusal: Hashable, Sendable {
    /// The stale token.
    public let presented: FencingToken
    /// The largest token admitted before.
    public let highest: FencingToken

    /// Makes a refusal.
    public init(presented: FencingToken, highest: FencingToken) {
        self.presented = presented
        self.highest = highest
    }
}

extension LockError {
    /// The error of a write that comes with the token of a former holder.
    public static func staleToken(_ refusal: FenceRefusal, name: LockName) -> LockError {
        LockError(
            .staleToken,
            """
            token \(refusal.presented) for the lock \(name) is stale, \(refusal.highest) was admitted before: the lock \
            was lost and held by somebody else since; throw away what was done under it and acquire again
            """,
            refusal: refusal)
    }
}

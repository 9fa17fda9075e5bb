import MQLock

/// What a provider remembers over all its sessions.
final class ProviderMemory: Sendable {
    /// The largest fencing token that this process has seen of each name: seeds start above it, and a grant that is not
    /// above it is refused with an error.
    let largest = LargestTokens()
    private let knownCluster = Locked<KnownCluster?>(nil)

    /// The cluster of the last session.
    var cluster: KnownCluster? {
        get { knownCluster.withLock { $0 } }
        set { knownCluster.withLock { $0 = newValue } }
    }
}

/// The largest fencing token of each name.
final class LargestTokens: Sendable {
    private let tokens = Locked<[LockName: FencingToken]>([:])
    private static let capacity = 100_000

    subscript(name: LockName) -> FencingToken? { tokens.withLock { $0[name] } }

    /// Notes a token; false when it is not above the largest.
    func raise(_ name: LockName, to token: FencingToken) -> Bool {
        tokens.withLock { tokens in
            if let largest = tokens[name], token <= largest { return false }
            // Bounded: forgetting a name loses only the check, never the order, which the broker keeps.
            if tokens.count >= Self.capacity { tokens.removeAll() }
            tokens[name] = token
            return true
        }
    }
}

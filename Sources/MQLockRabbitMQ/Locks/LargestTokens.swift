import MQLock

/// The largest fencing token that this process has seen of each name.
///
/// A provider keeps it over its sessions: seeds start above it, and a grant that is not above it is refused with an
/// error.
struct LargestTokens {
    private var tokens: [LockName: FencingToken] = [:]
    private static let capacity = 100_000

    subscript(name: LockName) -> FencingToken? { tokens[name] }

    /// Notes a token; false when it is not above the largest.
    mutating func raise(_ name: LockName, to token: FencingToken) -> Bool {
        if let largest = tokens[name], token <= largest { return false }
        // Bounded: forgetting a name loses only the check, never the order, which the broker keeps.
        if tokens.count >= Self.capacity { tokens.removeAll() }
        tokens[name] = token
        return true
    }
}

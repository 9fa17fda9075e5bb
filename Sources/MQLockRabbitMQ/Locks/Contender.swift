import MQLock
import Synchronization

/// One contender's call, as long as it waits.
struct Contender: Sendable {
    let cancellation: Cancellation
    /// False for a try.
    let waits: Bool
    let start: ContinuousClock.Instant
    let deadline: ContinuousClock.Instant?
    /// Whether another session could serve it if this one has no channel.
    let mayMove: Bool
    let answer: @Sendable (Result<LeaseRecord?, LockError>) -> Void
}

/// Whether a call was cancelled. Each call has its own, which identifies it.
final class Cancellation: Sendable {
    private let flag = Atomic(false)

    var hasBegun: Bool { flag.load(ordering: .acquiring) }

    func begin() { flag.store(true, ordering: .releasing) }
}

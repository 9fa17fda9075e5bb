import MQLock

/// A `withLock` whose body goes on until it is told to end or its task is cancelled.
final class Holding: Sendable {
    private enum End { case told, cancelled }
    private let leased = OneShot<Lease>()
    private let end = OneShot<End>()
    private let work: Task<Void, any Error>

    init(_ locks: any LockProvider, _ name: LockName) {
        work = Task { [leased, end] in
            try await locks.withLock(name) { lease in
                leased.fulfil(lease)
                await withTaskCancellationHandler {
                    // A test that has forgotten it ends all the same.
                    _ = try? await end.value(within: .seconds(900))
                } onCancel: {
                    end.fulfil(.cancelled)
                }
            }
        }
    }

    func lease() async throws -> Lease { try await leased.value(within: .seconds(60), "the holder's grant") }

    /// Whether the body's task was cancelled, and what `withLock` threw.
    func ending() async throws -> (wasCancelled: Bool, error: LockError?) {
        let wasCancelled = try await end.value(within: .seconds(60), "the end of the holder's body") == .cancelled
        do {
            try await work.value
            return (wasCancelled, nil)
        } catch {
            return (wasCancelled, error as? LockError)
        }
    }

    func release() { end.fulfil(.told) }
}

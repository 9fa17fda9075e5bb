import Foundation
import MQLock
import MQLockTesting

extension LeaseRecord {
    /// A lease on `clock`, proven for ten seconds.
    convenience init(_ name: LockName = "name", clock: any LockClock, token: UInt64 = 1, limit: Duration? = nil) {
        let now = clock.now
        self.init(
            name: name, token: FencingToken(rawValue: token)!, owner: "test",
            proof: ProofOfLife(until: now.advanced(by: .seconds(10)), clock: clock),
            limit: limit.map { now.advanced(by: $0) })
    }
}

/// Collects events and lets tests wait for them.
final class Events: LockObserver {
    private let stream: AsyncStream<LockEvent>
    private let continuation: AsyncStream<LockEvent>.Continuation
    private let seen = Locked<[LockEvent]>([])

    init() { (stream, continuation) = AsyncStream.makeStream(of: LockEvent.self) }

    func observe(_ event: LockEvent) {
        seen.withLock { $0.append(event) }
        continuation.yield(event)
    }

    var all: [LockEvent] { seen.withLock { $0 } }

    /// The next event of a kind; for one waiting test at a time.
    func next(_ kind: LockEvent.Kind) async -> LockEvent? { await stream.first { $0.kind == kind } }
}

/// Runs until `condition`; a test's own time limit is for what never comes.
func eventually(_ condition: () -> Bool) async {
    while !condition() { await Task.yield() }
}

func code(ofReleasing held: consuming HeldLock) async -> LockError.Code? {
    do throws(LockError) {
        try await held.release()
        return nil
    } catch {
        return error.code
    }
}

/// Runs what blocks on a thread of its own: Swift's few are for the tests beside us that measure time.
func aside<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
    }
}

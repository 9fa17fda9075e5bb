import MQLock
import MQLockRabbitMQ

/// What is measured: a lock that is taken and given back again and again.
protocol BenchLock: AnyObject {
    /// Does what only the first use costs, whether the lock is free or not.
    func warmUp() async throws
    func acquire() async throws
    func release() async throws
}

/// A mutex, or a way to configure one, and the raw program that sends the same frames.
struct BenchContestant: Sendable {
    /// What the results call it, and `--mutex`.
    let name: String
    let mutex: RabbitMQLocks.Mutex
    /// What it changes of a configuration, beside the mutex.
    var configure: @Sendable (inout RabbitMQLocks.Configuration) -> Void = { _ in }
    /// Connects the raw program to its queue.
    let raw: @Sendable (_ uri: String, _ queue: String) throws -> any RawLock

    /// Every mutex that is measured. A new one is a line here and a file with its raw program.
    static let all = [
        Self(name: "sac", mutex: .singleActiveConsumer, raw: { try RawSingleActiveConsumer(uri: $0, queue: $1) }),
        Self(name: "token", mutex: .token, raw: { try RawToken(uri: $0, queue: $1) }),
    ]

    static func named(_ name: String) -> Self? { all.first { $0.name == name } }
}

/// A raw program.
protocol RawLock: BenchLock {
    /// Makes its queue, with a free lock in it.
    func prepare() throws
}

extension RawLock {
    /// Connected and done.
    func warmUp() {}
}

/// Ours.
final class ProviderLock: BenchLock {
    private let locks: any LockProvider
    private let name: LockName
    private var held: HeldLock?

    init(_ locks: any LockProvider, _ name: LockName) {
        (self.locks, self.name) = (locks, name)
    }

    func warmUp() async throws { try await locks.tryAcquire(name)?.release() }

    func acquire() async throws { held = try await locks.acquire(name, within: nil) }

    func release() async throws { try await held.take()?.release() }
}

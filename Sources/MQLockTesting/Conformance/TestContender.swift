import MQLock

/// One contender in a task of its own, which acquires the lock and keeps it until it is asked to release or drop it.
final class TestContender: Sendable {
    private enum Command { case release, drop }

    private let outcomes = Replay<Result<Lease?, LockError>>()
    private let endings = Replay<LockError?>()
    private let commands: AsyncStream<Command>.Continuation
    private let task: Task<Void, Never>

    convenience init<Provider: LockProvider>(
        _ provider: Provider, _ name: LockName, within limit: Duration? = nil, once: Bool
    ) {
        self.init { () throws(LockError) in
            once ? try await provider.tryAcquire(name) : try await provider.acquire(name, within: limit)
        }
    }

    init(_ take: @escaping @Sendable () async throws(LockError) -> HeldLock?) {
        let (stream, commands) = AsyncStream.makeStream(of: Command.self)
        self.commands = commands
        task = Task { [outcomes, endings] in
            do throws(LockError) {
                guard let held = try await take() else {
                    outcomes.send(.success(nil))
                    return
                }
                outcomes.send(.success(held.lease))
                // Not in this task: the contender's cancellation is over when it holds.
                let command = await Task { await stream.first { _ in true } }.value
                if command == .release {
                    let error = await Self.error(ofReleasing: held)
                    endings.send(error)
                } else {
                    _ = consume held
                    endings.send(nil)
                }
            } catch {
                outcomes.send(.failure(error))
            }
        }
    }

    private static func error(ofReleasing held: consuming HeldLock) async -> LockError? {
        do throws(LockError) {
            try await held.release()
            return nil
        } catch {
            return error
        }
    }

    func cancel() { task.cancel() }

    /// The result of the attempt, as far as it is known.
    var outcome: Result<Lease?, LockError>? { outcomes.soFar.first }

    /// The result of the attempt.
    func result() async throws -> Result<Lease?, LockError> {
        guard let outcome = await outcomes.first(where: { _ in true }) else { throw CancellationError() }
        return outcome
    }

    /// The lease once granted; throws what the attempt threw.
    func lease() async throws -> Lease {
        guard let lease = try await result().get() else { throw Unmet("a try found the lock taken") }
        return lease
    }

    /// Begins to release the lock; ``ended()`` reports when that is done.
    func beginRelease() { commands.yield(.release) }

    /// Drops the held lock without a release.
    func drop() { commands.yield(.drop) }

    /// The error of the release, once it has been asked for and is done.
    func ended() async throws -> LockError? {
        guard let error = await endings.first(where: { _ in true }) else { throw CancellationError() }
        return error
    }
}

/// Why a check failed.
struct Unmet: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Why a check cannot be made.
struct NotTried: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

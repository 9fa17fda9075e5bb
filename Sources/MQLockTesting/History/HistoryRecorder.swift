public import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Writes a history down, from any thread: in memory, and as JSON lines if a file descriptor is given.
///
/// Every line is one `write(2)`, made before ``record(_:name:contender:at:)`` returns, so a process that is killed
/// loses nothing that it has reported. Pass one file, opened with `O_APPEND`, to many processes, or a pipe.
public final class HistoryRecorder: Sendable {
    private struct Storage {
        var events: [History.Event] = []
        var failure: Int32?
    }

    /// The name of the process in the events.
    public let process: String
    private let clock: any LockClock
    private let descriptor: Int32?
    private let keepsEvents: Bool
    private let storage = Locked(Storage())

    /// - Parameters:
    ///   - process: what events call this process; by default its id.
    ///   - clock: the clock to use; a test that moves the clock of its locks gives the same one here.
    ///   - descriptor: where to append lines; the caller closes it.
    ///   - keepsEvents: whether ``events`` fills up; a long-lived process that writes lines can do without.
    public init(
        process: String? = nil, clock: any LockClock = SystemLockClock(), appendingTo descriptor: Int32? = nil,
        keepsEvents: Bool = true
    ) {
        self.process = process ?? String(getpid())
        self.clock = clock
        self.descriptor = descriptor
        self.keepsEvents = keepsEvents
    }

    /// What was recorded so far, in the order of recording.
    public var events: [History.Event] { storage.withLock { $0.events } }

    /// The `errno` of the first line that could not be written; later lines are tried anyway.
    public var writeFailure: Int32? { storage.withLock { $0.failure } }

    /// Records an event of this process.
    /// - Parameters:
    ///   - kind: what happened.
    ///   - name: the lock's name, for an event that concerns one.
    ///   - contender: who, within this process; empty for what concerns the whole process.
    ///   - at: when, in nanoseconds of ``HistoryClock``; by default now.
    public func record(_ kind: History.Kind, name: String = "", contender: String = "", at: UInt64? = nil) {
        storage.withLock { storage in
            // Read under the lock, so the order of lines is the order of instants.
            let at = at ?? HistoryClock.nanoseconds(of: clock.now)
            append(
                History.Event(at: at, process: process, contender: contender, name: name, kind: kind), &storage)
        }
    }

    /// Records an event as it is, of any process.
    public func record(_ event: History.Event) {
        storage.withLock { append(event, &$0) }
    }

    private func append(_ event: History.Event, _ storage: inout Storage) {
        if keepsEvents { storage.events.append(event) }
        guard let descriptor, let failure = Self.send(event.line, to: descriptor) else { return }
        storage.failure = storage.failure ?? failure
    }

    /// Writes a whole line; returns the `errno` when that fails.
    private static func send(_ line: String, to descriptor: Int32) -> Int32? {
        var line = line
        return line.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let written = write(descriptor, rest.baseAddress, rest.count)
                if written < 0 {
                    if errno == EINTR { continue }
                    return errno
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
            return nil
        }
    }
}

// MARK: Leases

extension HistoryRecorder {
    /// Records the grant of a lease, at the instant of the grant.
    public func recordGrant(of lease: Lease, contender: String) {
        recordGrant(of: lease, as: [lease.name.string], contender: contender)
    }

    /// Records that the contender no longer relies on the lease; call it just **before** the release.
    ///
    /// A lease that is lost by then is recorded as lost, with the instant at which it stopped being valid. If this were
    /// called only after the release, a process killed in between would look as if it had held on until its death.
    public func recordEnd(of lease: Lease, contender: String) {
        recordEnd(of: lease, as: [lease.name.string], contender: contender)
    }

    /// Records one grant as that of several names, none of which anyone else may hold then.
    package func recordGrant(of lease: Lease, as names: [String], contender: String) {
        for name in names {
            record(
                .granted(token: lease.fencingToken.rawValue), name: name, contender: contender,
                at: HistoryClock.nanoseconds(of: lease.record.grantedAt))
        }
    }

    /// Records the end of what was recorded as several names' grant.
    package func recordEnd(of lease: Lease, as names: [String], contender: String) {
        let cause: History.EndCause
        var validUntil: UInt64?
        switch lease.record.state {
        case .lost(let reason):
            cause = .lost(reason.description)
            validUntil = lease.record.endedAt.map(HistoryClock.nanoseconds(of:))
        case .released:
            cause = .released
            validUntil = lease.record.endedAt.map(HistoryClock.nanoseconds(of:))
        case .held, .suspect: cause = .released
        }
        let now = HistoryClock.nanoseconds(of: clock.now)
        for name in names {
            record(
                .ended(cause: cause, validUntil: min(validUntil ?? now, now)), name: name, contender: contender, at: now
            )
        }
    }

    /// Records the grant of a lease now and its end when it comes, for holders that cannot be asked to.
    ///
    /// - Returns: a task that ends when the end has been recorded. Cancelling it leaves the end unrecorded.
    @discardableResult
    public func record(lease: Lease, contender: String) -> Task<Void, Never> {
        recordGrant(of: lease, contender: contender)
        return Task {
            for await state in lease.states where state.isFinal {
                recordEnd(of: lease, contender: contender)
            }
        }
    }

    /// Acquires a lock and records everything about it: waiting, the grant, and the end or the giving up.
    ///
    /// The body is not cancelled when the lock is lost: histories are about programs that do not check.
    /// - Returns: what the body returned.
    /// - Throws: what `acquire` throws and what the body throws; a loss noticed by the release is recorded only.
    public func withLock<R: Sendable>(
        _ name: LockName, of provider: some LockProvider, contender: String, within limit: Duration? = nil,
        _ body: (Lease) async throws -> R
    ) async throws -> R {
        record(.waiting, name: name.string, contender: contender)
        let held: HeldLock
        do {
            held = try await provider.acquire(name, within: limit)
        } catch {
            record(.gaveUp, name: name.string, contender: contender)
            throw error
        }
        let lease = held.lease
        recordGrant(of: lease, contender: contender)
        let result: Result<R, any Error>
        do {
            result = .success(try await body(lease))
        } catch {
            result = .failure(error)
        }
        recordEnd(of: lease, contender: contender)
        try? await held.release()
        return try result.get()
    }
}

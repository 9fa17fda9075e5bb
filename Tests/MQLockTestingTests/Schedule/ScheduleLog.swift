import MQLock
import MQLockTesting

/// What happened to the scheduled jobs of a test's programs, in order: "mine done 60" for the tick at midnight and 60 seconds.
final class ScheduleLog: Sendable {
    /// A midnight.
    static let midnight: Int64 = 20_000 * 24 * 3600 * 1000

    private let entries = Locked<[(owner: String, event: ScheduleEvent)]>([])

    func add(_ owner: String, _ event: ScheduleEvent) { entries.withLock { $0.append((owner, event)) } }

    var lines: [String] {
        entries.withLock { $0.map { "\($0.owner) \($0.event.kind) \(($0.event.tick - Self.midnight) / 1000)" } }
    }

    func events(_ kind: ScheduleEvent.Kind) -> [ScheduleEvent] {
        entries.withLock { $0.map(\.event).filter { $0.kind == kind } }
    }

    /// The ticks that something happened to, in seconds after midnight.
    func ticks(_ kind: ScheduleEvent.Kind) -> [Int64] { events(kind).map { ($0.tick - Self.midnight) / 1000 } }

    /// Returns when that has happened, or the test is to end.
    func wait(for line: String) async { while !lines.contains(line), !Task.isCancelled { await Task.yield() } }
}

/// Locks that tell how often they were asked for marks, which is what a tick begins with.
struct AskedLocks: MarkKeeping {
    let locks: InMemoryLocks
    let asked = Locked(0)

    var capabilities: LockCapabilities { locks.capabilities }
    var clock: any LockClock { locks.clock }
    var timeOfDay: Int64 { locks.timeOfDay }

    func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await locks.acquire(name, within: limit)
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? { try await locks.tryAcquire(name) }

    func marks(of name: LockName, within limit: Duration?) async throws(LockError) -> [DoneMark] {
        asked.withLock { $0 += 1 }
        return try await locks.marks(of: name, within: limit)
    }

    func write(_ mark: DoneMark, of name: LockName, within limit: Duration?) async throws(LockError) {
        try await locks.write(mark, of: name, within: limit)
    }
}

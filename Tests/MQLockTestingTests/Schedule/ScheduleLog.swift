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

    /// Returns when that has happened.
    func wait(for line: String) async { while !lines.contains(line) { await Task.yield() } }
}
